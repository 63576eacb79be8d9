import { FileInput, Progress, Select, Text } from "@mantine/core";
import { useEffect, useRef, useState } from "react";
import type { FileStorage } from "../../api/types.ts";
import { upload } from "../../api/upload.ts";
import { FOR_EVER, LIVES, lifeOf, refusalOf } from "../../rules/files.ts";
import { Dialog } from "../../ui/Dialog.tsx";

/** Uploads a file into a workspace. Closing the window stops it. */
export function UploadFile({
  workspace,
  storage,
  onClose,
}: {
  workspace: string | undefined;
  storage: FileStorage | undefined;
  onClose: () => void;
}) {
  const [file, setFile] = useState<File | null>(null);
  const [life, setLife] = useState(FOR_EVER);
  const [sent, setSent] = useState<number | null>(null);
  const stop = useRef<AbortController | null>(null);
  useEffect(() => () => stop.current?.abort(), []);
  const refusal = file && refusalOf(file.size, storage);
  const send = async () => {
    if (!file) return;
    stop.current = new AbortController();
    setSent(0);
    try {
      await upload({
        file,
        life: lifeOf(life),
        workspace,
        onProgress: setSent,
        signal: stop.current.signal,
      });
    } finally {
      setSent(null);
    }
  };
  return (
    <Dialog
      title="Upload a file"
      verb="Upload"
      disabled={!file || refusal !== null}
      send={send}
      changes={[["files"], ["file-storage"]]}
      onClose={onClose}
    >
      <FileInput
        label="File"
        placeholder="Choose a file"
        description="A PDF, a text or an image, for requests to name. Other files can be kept as well."
        value={file}
        onChange={setFile}
        error={refusal}
        disabled={sent !== null}
      />
      <Select
        label="Keep it"
        allowDeselect={false}
        data={LIVES}
        value={life}
        onChange={(chosen) => setLife(chosen ?? FOR_EVER)}
        disabled={sent !== null}
      />
      {sent !== null && (
        <div>
          <Progress value={sent * 100} color="indigo" aria-label="Progress of the upload" />
          <Text size="sm" mt={4} role="status">
            {sent < 1 ? `${Math.floor(sent * 100)} % sent` : "Sent. The server is storing it…"}
          </Text>
        </div>
      )}
      {storage?.downloadable === false && (
        <Text size="sm" c="dimmed">
          Nobody can download it again: this server keeps uploads for requests alone.
        </Text>
      )}
    </Dialog>
  );
}
