import { useRouter } from "@tanstack/react-router";
import type { MouseEvent, ReactNode } from "react";
import { type RequestFilter, requestsHref } from "../rules/drill.ts";
import { useCan } from "../session.tsx";

/**
 * Return what links a number to the requests that it counts, for a role that may see requests; for
 * others the number stays text.
 */
export function useRequestRows(): (filter: RequestFilter) => (text: string) => ReactNode {
  const can = useCan();
  const router = useRouter();
  const shows = can("requests.read") && "/requests" in router.routesByPath;
  return (filter) => {
    if (!shows) return (text) => text;
    const href = requestsHref(filter);
    const go = (event: MouseEvent) => {
      if (event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      router.history.push(href);
    };
    return (text) => (
      <a href={href} className="rows" onClick={go}>
        {text}
      </a>
    );
  };
}
