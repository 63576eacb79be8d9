import { fill, type Picker, placeOf } from "../rules/saving.ts";
import { save } from "./parts.tsx";

/**
 * Save the body of an answer as a file. The place is asked for before the answer, as a browser asks
 * only soon after a click. Browsers that let a page write a file get it as it comes; in others it is
 * kept in memory until it is whole.
 */
export async function saveStream(name: string, request: () => Promise<Response>): Promise<void> {
  const { showSaveFilePicker } = window as { showSaveFilePicker?: Picker };
  const place = await placeOf(showSaveFilePicker?.bind(window), name);
  if (place === null) return;
  if (place !== "downloads") return await fill(place, request);
  const answer = await request();
  save(name, answer.headers.get("content-type") ?? "", await answer.blob());
}
