import { Button, TextInput } from "@mantine/core";
import { useNavigate } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { requestIdIn } from "../../rules/requests.ts";

/** A field for the id of a request, or for a whole error message that has one. */
export function LookUp() {
  const navigate = useNavigate();
  const [text, setText] = useState("");
  const [wrong, setWrong] = useState(false);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const id = requestIdIn(text);
    setWrong(id === null);
    if (id !== null) void navigate({ to: "/requests/$request", params: { request: id } });
  };
  return (
    <form onSubmit={submit} className="filters fields">
      <TextInput
        label="Explain a request"
        placeholder="Paste a request id, or an error message"
        value={text}
        error={wrong && "There is no request id in it: they begin with req_"}
        onChange={(event) => {
          setText(event.currentTarget.value);
          setWrong(false);
        }}
      />
      <Button type="submit" variant="default" w="auto">
        Explain
      </Button>
    </form>
  );
}
