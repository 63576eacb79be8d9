import { PasswordInput } from "@mantine/core";

export const SHORTEST_PASSWORD = 10;
export const LONGEST_PASSWORD = 1024;

/** The field of a password that is chosen now. */
export function NewPassword({
  value,
  onChange,
  label = "Password",
}: {
  value: string;
  onChange: (value: string) => void;
  label?: string;
}) {
  return (
    <PasswordInput
      label={label}
      description={`At least ${SHORTEST_PASSWORD} characters. A few words in a row are easy to keep.`}
      name="new-password"
      autoComplete="new-password"
      required
      minLength={SHORTEST_PASSWORD}
      maxLength={LONGEST_PASSWORD}
      visibilityToggleButtonProps={{ "aria-label": "Show or hide the password" }}
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
}
