import { Button, Text } from "@mantine/core";
import { useState } from "react";
import type { Query } from "../api/client.ts";
import { curlOf } from "../rules/calls.ts";
import { baseUrl } from "../rules/origins.ts";
import { Lines } from "./parts.tsx";
import { Window } from "./Window.tsx";

/** Shows the call of the API that gives the numbers of a page. */
export function Call({ path, query }: { path: string; query: Query }) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <Button variant="default" onClick={() => setOpen(true)}>
        Show the call
      </Button>
      {open && (
        <Window onClose={() => setOpen(false)} size="xl" title="The call behind these numbers">
          <Text size="sm" mb="sm">
            Every number on this page is in this answer, or is a sum of its rows. Where it says
            <code> has_more</code>, ask again with <code>page</code> set to its{" "}
            <code>next_page</code>. It needs an admin key, which{" "}
            <code>antiphon keys create NAME --admin</code> makes.
          </Text>
          <Lines text={curlOf(baseUrl(), path, query)} label="the call" wrapped />
        </Window>
      )}
    </>
  );
}
