import { Select } from "@mantine/core";
import { useState } from "react";
import { useKeyChoices, useNamesOfKeys } from "../api/queries.ts";

/** Chooses a key by a part of its name: the server searches, as there may be very many. */
export function KeySelect({
  label,
  placeholder = "Part of a name",
  clearLabel = "Choose no key",
  value,
  onChange,
}: {
  label: string;
  placeholder?: string;
  clearLabel?: string;
  value: string | null;
  onChange: (key: string | null) => void;
}) {
  const [part, setPart] = useState("");
  const chosen = useNamesOfKeys(value ? [value] : []);
  const name = value === null ? undefined : (chosen.get(value) ?? value);
  // What is chosen stands in the field, and is no search.
  const { data: keys = [] } = useKeyChoices(part === name ? "" : part);
  const others = keys.filter(({ id }) => id !== value);
  return (
    <Select
      label={label}
      placeholder={placeholder}
      searchable
      clearable
      clearButtonProps={{ "aria-label": clearLabel }}
      filter={({ options }) => options}
      nothingFoundMessage="No key has such a name"
      data={[
        ...(value && name ? [{ value, label: name }] : []),
        ...others.map((key) => ({ value: key.id, label: key.name })),
      ]}
      value={value}
      onChange={onChange}
      onSearchChange={setPart}
    />
  );
}
