// Uploaded files.

import type { Call } from "../call.ts";
import type { Antiphon, CallOptions } from "../client.ts";
import { Pages } from "../pages.ts";
import { pathOf } from "../query.ts";
import type { DeletedFile, FileMetadata, FilesQuery } from "../wire.ts";

/** A file to upload: a `File`, or bytes with a name and a media type. */
export interface FileUpload {
  file: Blob | Uint8Array | ArrayBuffer | string;
  filename?: string | undefined;
  mimeType?: string | undefined;
  expires_in_seconds?: number | undefined;
}

/** `client.files`. */
export class Files {
  readonly #client: Antiphon;

  constructor(client: Antiphon) {
    this.#client = client;
  }

  upload(upload: FileUpload, options?: CallOptions): Call<FileMetadata> {
    const { file, filename, mimeType, expires_in_seconds: expires } = upload;
    const isBlob = file instanceof Blob;
    const type = mimeType ?? (isBlob ? file.type : typeof file === "string" ? "text/plain" : "");
    const blob =
      isBlob && type === file.type ? file : new Blob([file as BlobPart], type ? { type } : {});
    const name = filename ?? (isBlob && "name" in file ? String(file.name) : "upload");
    const form = new FormData();
    form.append("file", blob, name);
    if (expires !== undefined) form.append("expires_in_seconds", String(expires));
    return this.#client.request({ method: "POST", path: "/v1/files", form }, options);
  }

  retrieveMetadata(id: string, options?: CallOptions): Call<FileMetadata> {
    const path = pathOf("files", id);
    return this.#client.request({ method: "GET", path }, options);
  }

  list(query: FilesQuery = {}, options?: CallOptions): Pages<FileMetadata> {
    return new Pages(query, (page) =>
      this.#client.request({ method: "GET", path: "/v1/files", query: page }, options),
    );
  }

  /** Return the answer whose body is the file's content. */
  download(id: string, options?: CallOptions): Promise<Response> {
    const path = pathOf("files", id, "content");
    return this.#client.request({ method: "GET", path }, options).asResponse();
  }

  delete(id: string, options?: CallOptions): Call<DeletedFile> {
    const path = pathOf("files", id);
    return this.#client.request({ method: "DELETE", path }, options);
  }
}
