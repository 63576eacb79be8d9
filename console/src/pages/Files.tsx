import { Button, Menu, Select, Text } from "@mantine/core";
import { keepPreviousData, useMutation, useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { useState } from "react";
import { useModels } from "../api/queries.ts";
import { answered, clientIn } from "../api/sdk.ts";
import type { FileStorage, StoredFile, TokenListing } from "../api/types.ts";
import { sizeOf } from "../rules/cache.ts";
import { blockOf, firstFile, roomOf } from "../rules/files.ts";
import { filesSearch } from "../rules/searches.ts";
import { NO_MODEL } from "../rules/tool.ts";
import { useSession } from "../session.tsx";
import { Dialog } from "../ui/Dialog.tsx";
import { saveStream } from "../ui/download.ts";
import { Empty, ErrorNotice, Loaded } from "../ui/notices.tsx";
import { TokenPager } from "../ui/Pager.tsx";
import { Head, Id, Lines, Time } from "../ui/parts.tsx";
import { RowMenu } from "../ui/Shell.tsx";
import { type Column, Table } from "../ui/Table.tsx";
import { Window } from "../ui/Window.tsx";
import { UploadFile } from "./files/UploadFile.tsx";

const route = getRouteApi("/signed-in/files");
const PATH = "/v1/files";
const PAGE_ROWS = 25;

/** The files of a workspace: what is kept, how much room is left, and what can be done with them. */
export function Files() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const { workspaces } = useSession();
  const [uploading, setUploading] = useState(false);
  const workspace =
    search.workspace ?? (workspaces.find((each) => each.is_default) ?? workspaces[0])?.id;
  const files = useQuery({
    queryKey: ["files", workspace, search.page],
    queryFn: async ({ signal }) => {
      const query = { limit: PAGE_ROWS, page: search.page };
      const page = await answered(PATH, clientIn(workspace).files.list(query, { signal }));
      return page.body as TokenListing<StoredFile>;
    },
    placeholderData: keepPreviousData,
  });
  const { data: storage } = useQuery({
    queryKey: ["file-storage", workspace],
    queryFn: ({ signal }) =>
      answered<FileStorage>(
        PATH,
        clientIn(undefined).organization.fileStorage({ workspace_id: workspace }, { signal }),
      ),
  });
  const move = (change: object) =>
    void navigate({ search: filesSearch({ workspace: search.workspace, ...change }) });
  const upload = <Button onClick={() => setUploading(true)}>Upload a file</Button>;
  return (
    <>
      <Head title="Files" actions={upload}>
        Documents and images that requests name by their id. Every key of the workspace may use
        them.
      </Head>
      {workspaces.length > 1 && (
        <div className="filters">
          <Select
            label="Workspace"
            allowDeselect={false}
            data={workspaces.map(({ id, name }) => ({ value: id, label: name }))}
            value={workspace ?? null}
            onChange={(chosen) => move({ workspace: chosen })}
          />
        </div>
      )}
      {storage && (
        <Text size="sm" c="dimmed" mb="md">
          {roomOf(storage)}
        </Text>
      )}
      <Loaded query={files} what="the files">
        {(page) =>
          page.data.length ? (
            <>
              <FileTable files={page.data} workspace={workspace} />
              <TokenPager
                page={search.page}
                next={page.next_page}
                onMove={(token) => move({ page: token })}
              />
            </>
          ) : search.page ? (
            <Empty
              title="No more files"
              action={
                <Button variant="default" onClick={() => move({})}>
                  Show the first page
                </Button>
              }
            >
              They may have been deleted.
            </Empty>
          ) : (
            <Begin workspace={workspace} />
          )
        }
      </Loaded>
      {uploading && (
        <UploadFile workspace={workspace} storage={storage} onClose={() => setUploading(false)} />
      )}
    </>
  );
}

/** How to begin, in place of an empty table. */
function Begin({ workspace }: { workspace: string | undefined }) {
  const { data: models } = useModels(workspace);
  return (
    <div className="empty begin">
      <h2>No files in this workspace</h2>
      <p>
        Upload one here, or by a program. A request then names it by its id. This program uploads a
        small one, and asks about it:
      </p>
      {models && (
        <Lines
          label="the program"
          text={firstFile(window.location.origin, models[0]?.id ?? NO_MODEL.id)}
        />
      )}
    </div>
  );
}

function FileTable({ files, workspace }: { files: StoredFile[]; workspace: string | undefined }) {
  const columns: Column<StoredFile>[] = [
    {
      title: "File",
      rest: true,
      cell: (file) => (
        <>
          <div>{file.filename}</div>
          <Id id={file.id} />
        </>
      ),
    },
    { title: "Type", cell: (file) => file.mime_type },
    { title: "Uploaded", cell: (file) => <Time at={file.created_at} relative /> },
    {
      title: "Expires",
      cell: (file) => (file.expires_at ? <Time at={file.expires_at} relative /> : "Never"),
    },
    { title: "Size", cell: (file) => sizeOf(file.size_bytes), number: true },
    {
      title: "Actions",
      stays: true,
      cell: (file) => <FileMenu file={file} workspace={workspace} />,
    },
  ];
  return (
    <div className="dense">
      <Table caption="Files" columns={columns} rows={files} keyOf={(file) => file.id} />
    </div>
  );
}

function FileMenu({ file, workspace }: { file: StoredFile; workspace: string | undefined }) {
  const [action, setAction] = useState<"use" | "delete" | null>(null);
  const block = blockOf(file);
  const download = useMutation({
    mutationFn: () =>
      saveStream(file.filename, () => answered(PATH, clientIn(workspace).files.download(file.id))),
  });
  const close = () => setAction(null);
  return (
    <>
      <RowMenu label={`Actions for ${file.filename}`}>
        {block && <Menu.Item onClick={() => setAction("use")}>Use in a request</Menu.Item>}
        {file.downloadable && <Menu.Item onClick={() => download.mutate()}>Download</Menu.Item>}
        <Menu.Item className="danger" onClick={() => setAction("delete")}>
          Delete
        </Menu.Item>
      </RowMenu>
      {download.isPending && <Text size="sm">Downloading…</Text>}
      {download.error && <ErrorNotice error={download.error} />}
      {action === "use" && block && (
        <Window title={file.filename} onClose={close}>
          <Text size="sm" mb="xs">
            This block stands for the file, in the content of a message:
          </Text>
          <Lines text={block} label="the block" />
        </Window>
      )}
      {action === "delete" && (
        <Dialog
          title="Delete this file?"
          verb="Delete"
          danger
          send={() => answered(PATH, clientIn(workspace).files.delete(file.id))}
          changes={[["files"], ["file-storage"]]}
          onClose={close}
        >
          <Text size="sm">
            {file.filename} is removed for ever. Requests that name it fail from then on, also those
            of batches that have not run.
          </Text>
        </Dialog>
      )}
    </>
  );
}
