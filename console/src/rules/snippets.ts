// A request as the commands and programs that send it.

export type Body = Record<string, unknown>;
export type Language = "curl" | "python" | "typescript";

const VERSION = "2023-06-01";

/** Return text as one word of a POSIX shell. */
export function shellWord(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Return JSON as a Python expression. */
export function pythonValue(value: unknown, indent = 0): string {
  const pad = "    ".repeat(indent + 1);
  const end = "    ".repeat(indent);
  if (value === null || value === undefined) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) {
    if (!value.length) return "[]";
    return `[\n${value.map((item) => `${pad}${pythonValue(item, indent + 1)},\n`).join("")}${end}]`;
  }
  if (typeof value === "object") {
    const items = Object.entries(value);
    if (!items.length) return "{}";
    const lines = items.map(
      ([name, item]) => `${pad}${JSON.stringify(name)}: ${pythonValue(item, indent + 1)},\n`,
    );
    return `{\n${lines.join("")}${end}}`;
  }
  // JSON's escapes of strings and its numbers mean the same in Python.
  return JSON.stringify(value);
}

/** Return a request of the Messages API as a program, without the key itself. */
export function snippet(language: Language, baseUrl: string, body: Body): string {
  switch (language) {
    case "curl":
      return [
        `curl ${shellWord(`${baseUrl}/v1/messages`)} \\`,
        `  --header "x-api-key: $ANTHROPIC_API_KEY" \\`,
        `  --header "anthropic-version: ${VERSION}" \\`,
        `  --header "content-type: application/json" \\`,
        `  --data ${shellWord(JSON.stringify(body, null, 2))}`,
      ].join("\n");
    case "python":
      return python(baseUrl, body);
    case "typescript":
      return typescript(baseUrl, body);
  }
}

function python(baseUrl: string, { stream, ...body }: Body): string {
  const names = Object.entries(body).map(
    ([name, value]) => `    ${name}=${pythonValue(value, 1)},\n`,
  );
  const call = `(\n${names.join("")})`;
  const end = stream
    ? `with client.messages.stream${call} as stream:\n    for text in stream.text_stream:\n        print(text, end="", flush=True)\n`
    : `message = client.messages.create${call}\nprint(message.content)\n`;
  return `import anthropic\n\n# The key is read from ANTHROPIC_API_KEY.\nclient = anthropic.Anthropic(base_url=${JSON.stringify(baseUrl)})\n\n${end}`;
}

function typescript(baseUrl: string, { stream, ...body }: Body): string {
  const call = `(${JSON.stringify(body, null, 2)})`;
  const end = stream
    ? `const stream = client.messages.stream${call};\nfor await (const event of stream) console.log(event);\n`
    : `const message = await client.messages.create${call};\nconsole.log(message.content);\n`;
  return `import Anthropic from "@anthropic-ai/sdk";\n\n// The key is read from ANTHROPIC_API_KEY.\nconst client = new Anthropic({ baseURL: ${JSON.stringify(baseUrl)} });\n\n${end}`;
}
