// Uploads, whose progress is shown: `fetch` does not tell how much it has sent.

import { ApiError, errorOf, headersOf, noAnswer } from "./client.ts";
import type { StoredFile } from "./types.ts";

const PATH = "/v1/files";

export interface Upload {
  file: File;
  /** How long it is kept, in seconds; null for ever. */
  life: number | null;
  workspace: string | undefined;
  /** Gets the sent part, from 0 to 1. */
  onProgress: (part: number) => void;
  signal: AbortSignal;
}

/** Upload a file; return what the server tells of it. Throws `ApiError`. */
export function upload({ file, life, workspace, onProgress, signal }: Upload): Promise<StoredFile> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", PATH);
    headersOf({ workspace }).forEach((value, name) => {
      request.setRequestHeader(name, value);
    });
    request.upload.onprogress = ({ loaded, total }) => onProgress(total ? loaded / total : 0);
    request.onerror = () => reject(noAnswer());
    request.onabort = () => reject(new ApiError(0, "aborted", "The upload was stopped.", null));
    request.onload = () => {
      if (request.status === 200) resolve(JSON.parse(request.responseText) as StoredFile);
      else {
        reject(errorOf(request.status, headersIn(request), request.responseText, PATH));
      }
    };
    signal.addEventListener("abort", () => request.abort());
    request.send(formOf(file, life));
  });
}

/** Return the headers of an answer that an error needs. */
function headersIn(request: XMLHttpRequest): Headers {
  const headers = new Headers();
  for (const name of ["request-id", "retry-after", "retry-after-ms"]) {
    const value = request.getResponseHeader(name);
    if (value !== null) headers.set(name, value);
  }
  return headers;
}

function formOf(file: File, life: number | null): FormData {
  const form = new FormData();
  form.append("file", file);
  if (life !== null) form.append("expires_in_seconds", String(life));
  return form;
}
