// Where a file goes that a page saves: the browser may let a person choose a place.

export interface Place {
  createWritable: () => Promise<WritableStream<Uint8Array>>;
  /** Some browsers have no such thing. */
  remove?: () => Promise<void>;
}
export type Picker = (options: { suggestedName: string }) => Promise<Place>;

/** Sooner than this, in milliseconds, nobody closes a window: the browser has shown none. */
const HUMAN_MS = 200;

/**
 * Ask for the place of a file. Returns "downloads" where the browser has no window for that, or
 * refuses to open it, and null if the person closed it. Browsers open it only for a few seconds
 * after a click.
 */
export async function placeOf(
  pick: Picker | undefined,
  name: string,
  now: () => number = () => performance.now(),
): Promise<Place | "downloads" | null> {
  if (!pick) return "downloads";
  const began = now();
  try {
    return await pick({ suggestedName: name });
  } catch (error) {
    const aborted = error instanceof DOMException && error.name === "AbortError";
    return aborted && now() - began >= HUMAN_MS ? null : "downloads";
  }
}

/**
 * Write the body of an answer into a place. If that fails the file is removed: the browser made it,
 * empty, when the place was chosen.
 */
export async function fill(
  place: Place,
  request: () => Promise<{ body: ReadableStream<Uint8Array> | null }>,
): Promise<void> {
  try {
    const { body } = await request();
    const file = await place.createWritable();
    await (body ?? new Blob([]).stream()).pipeTo(file);
  } catch (error) {
    await place.remove?.().catch(() => undefined);
    throw error;
  }
}
