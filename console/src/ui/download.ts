import { save } from "./parts.tsx";

interface SavePicker {
  showSaveFilePicker?: (options: { suggestedName: string }) => Promise<{
    createWritable: () => Promise<WritableStream<Uint8Array>>;
  }>;
}

/**
 * Save the body of an answer as a file. Browsers that let a page write a file get it as it comes;
 * in others it is kept in memory until it is whole.
 */
export async function saveStream(name: string, answer: Response): Promise<void> {
  const { showSaveFilePicker } = window as SavePicker;
  if (!showSaveFilePicker || !answer.body) {
    save(name, answer.headers.get("content-type") ?? "", await answer.blob());
    return;
  }
  try {
    const file = await showSaveFilePicker.call(window, { suggestedName: name });
    await answer.body.pipeTo(await file.createWritable());
  } catch (error) {
    await answer.body?.cancel().catch(() => undefined);
    // Whoever closes the window of the browser wants no file.
    if (!(error instanceof DOMException && error.name === "AbortError")) throw error;
  }
}
