import { TextInput } from "@mantine/core";
import { useEffect, useRef, useState } from "react";

const PAUSE_MS = 250;

/** The field that narrows a list down as one types; the key "/" leads to it. */
export function Filter({
  label = "Name",
  placeholder,
  value,
  onChange,
}: {
  label?: string;
  placeholder?: string;
  value: string | undefined;
  onChange: (value: string | undefined) => void;
}) {
  const [typed, setTyped] = useState(value ?? "");
  const latest = useRef(onChange);
  latest.current = onChange;
  const shown = useRef(value ?? "");
  // The address may change by a link, or by the button back.
  useEffect(() => {
    if ((value ?? "") !== shown.current) {
      shown.current = value ?? "";
      setTyped(shown.current);
    }
  }, [value]);
  useEffect(() => {
    const asked = typed.trim();
    if (asked === shown.current) return;
    const timer = setTimeout(() => {
      shown.current = asked;
      latest.current(asked || undefined);
    }, PAUSE_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  return (
    <TextInput
      label={label}
      type="search"
      data-filter
      placeholder={placeholder ?? "Contains"}
      maxLength={256}
      value={typed}
      onChange={(event) => setTyped(event.currentTarget.value)}
    />
  );
}
