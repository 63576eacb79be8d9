// What is told of uploaded files, and how requests name them.

import type { FileStorage, StoredFile } from "../api/types.ts";
import { sizeOf } from "./cache.ts";

const DOCUMENTS = ["application/pdf", "text/plain"];
const IMAGES = ["image/gif", "image/jpeg", "image/png", "image/webp"];
const DAY_S = 86_400;
/** The choice of a file that stays until it is deleted. */
export const FOR_EVER = "never";

/** How long a new file may be kept: in seconds, and in words. */
export const LIVES: { value: string; label: string }[] = [
  { value: FOR_EVER, label: "Until it is deleted" },
  { value: String(DAY_S), label: "One day" },
  { value: String(7 * DAY_S), label: "One week" },
  { value: String(30 * DAY_S), label: "30 days" },
  { value: String(90 * DAY_S), label: "90 days" },
];

/** Return the seconds of a choice of `LIVES`; null for ever. */
export function lifeOf(choice: string): number | null {
  return choice === FOR_EVER ? null : Number(choice);
}

/** Return the block that names a file in a message; null for a type that no block takes. */
export function blockOf({ id, mime_type: type }: Pick<StoredFile, "id" | "mime_type">) {
  const kind = DOCUMENTS.includes(type) ? "document" : IMAGES.includes(type) ? "image" : null;
  return kind && JSON.stringify({ type: kind, source: { type: "file", file_id: id } }, null, 2);
}

/** Return what the files take, in words: "1.2 MB used, 98.8 MB left of 100.0 MB". */
export function roomOf({ used_bytes: used, quota_bytes: quota, free_bytes: free }: FileStorage) {
  const of = quota === null ? "" : ` of ${sizeOf(quota)}`;
  return `${sizeOf(used)} used, ${sizeOf(free)} left${of}`;
}

/** Return why a file cannot be uploaded; null if nothing is known against it. */
export function refusalOf(size: number, storage: FileStorage | undefined): string | null {
  if (!storage) return null;
  if (size > storage.largest_file_bytes) {
    return `It has ${sizeOf(size)}. A file has at most ${sizeOf(storage.largest_file_bytes)}.`;
  }
  if (size > storage.free_bytes) {
    return `It has ${sizeOf(size)}, and ${sizeOf(storage.free_bytes)} are left. Delete other files first.`;
  }
  return null;
}

/** The smallest program that uploads a file and asks about it. */
export function firstFile(baseUrl: string, model: string): string {
  return `import anthropic

# The key is read from ANTHROPIC_API_KEY; the file is in its workspace.
client = anthropic.Anthropic(base_url=${JSON.stringify(baseUrl)})

notes = ("notes.txt", b"The house was built in 1912.", "text/plain")
file = client.beta.files.upload(file=notes)
print(file.id)

message = client.messages.create(
    model=${JSON.stringify(model)},
    max_tokens=256,
    messages=[{
        "role": "user",
        "content": [
            {
                "type": "document",
                "source": {"type": "file", "file_id": file.id},
            },
            {"type": "text", "text": "How old is the house?"},
        ],
    }],
)
print(message.content)
`;
}
