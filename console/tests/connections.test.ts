import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { tools } from "../src/rules/connections.ts";
import { isLoopback } from "../src/rules/origins.ts";
import { longestAnswer } from "../src/rules/programs.ts";
import { NO_MODEL, type Sized } from "../src/rules/tool.ts";

const HERE = "http://127.0.0.1:8000";
const MODEL: Sized = {
  id: "my-model",
  display_name: "my-model",
  max_input_tokens: null,
  max_tokens: null,
};
const SIZED: Sized = { ...MODEL, max_input_tokens: 32_768, max_tokens: 32_768 };

/** The lines of one tool: those for the command, and those by hand. */
function lines(id: string, url = HERE, key = "k", model: Sized = MODEL): string[] {
  const tool = tools(url, key, model).find((each) => each.id === id);
  return tool?.ways.map(({ text }) => text) ?? [];
}

/** What a page of docs shows in a language, the n-th time. */
function shown(page: string, language: string, number = 0): string {
  const text = readFileSync(new URL(`../../docs/how-to/${page}`, import.meta.url), "utf-8");
  const found = [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)].filter(
    (each) => each[1] === language,
  );
  return found[number]?.[2] ?? "";
}

test("each tool gets the base URL in the form that it completes", () => {
  const texts = new Map(
    tools("http://a:1", "k", MODEL).map(({ id, ways }) => [id, ways.at(-1)?.text ?? ""]),
  );
  for (const id of ["python", "typescript", "claude-code", "zed", "copilot"]) {
    assert.match(texts.get(id) ?? "", /http:\/\/a:1/);
    assert.doesNotMatch(texts.get(id) ?? "", /http:\/\/a:1\/v1/);
  }
  for (const id of ["ai-sdk", "opencode"]) assert.match(texts.get(id) ?? "", /"http:\/\/a:1\/v1"/);
  for (const id of ["curl", "vscode"])
    assert.match(texts.get(id) ?? "", /http:\/\/a:1\/v1\/messages/);
});

test("what is to be put into a file of settings is what the page of the program shows", () => {
  for (const [id, page] of [
    ["opencode", "opencode"],
    ["zed", "zed"],
    ["vscode", "vs-code"],
  ] as const) {
    const told = JSON.parse(shown(`clients/${page}.md`, "json"));
    const key = id === "opencode" ? told.provider.antiphon.options.apiKey : "k";
    assert.deepEqual(JSON.parse(lines(id, HERE, key, SIZED)[1] ?? ""), told, id);
  }
});

test("the variables of a program are those that its page shows", () => {
  const copilot = { ...SIZED, max_input_tokens: 65_536, max_tokens: 65_536 };
  const told = shown("clients/copilot-cli.md", "", 1)
    .replace("$ANTHROPIC_BASE_URL", HERE)
    .replace("$ANTHROPIC_API_KEY", "k");
  assert.equal(lines("copilot", HERE, "k", copilot)[1], told.trimEnd());
  const least = shown("use-claude-code.md", "sh")
    .replaceAll(/ +#.*/g, "")
    .replace("sk-antiphon-…", "k");
  assert.equal(lines("claude-code")[1], least.trimEnd());
});

test("the command comes first for each program that it knows, as its page has it", () => {
  for (const [id, page, number] of [
    ["claude-code", "use-claude-code", 0],
    ["opencode", "clients/opencode", 0],
    ["copilot", "clients/copilot-cli", 0],
    ["zed", "clients/zed", 0],
    ["vscode", "clients/vs-code", 0],
  ] as const) {
    const [first = ""] = lines(id, HERE, "k", NO_MODEL);
    for (const line of first.split("\n")) {
      assert.ok(shown(`${page}.md`, "", number).split("\n").includes(line), `${page}: ${line}`);
    }
  }
});

test("elsewhere the command is told of the server, the key and the model", () => {
  assert.equal(
    lines("claude-code", HERE, "k", SIZED)[0],
    "antiphon launch claude --model my-model",
  );
  const [far = ""] = lines("claude-code", "https://claude.example.org", "it's", {
    ...SIZED,
    id: "a b",
  });
  const [key, command = ""] = far.split("\n");
  const said = spawnSync("sh", ["-c", `${key}; printf '%s\\n' "$ANTHROPIC_AUTH_TOKEN" ${command}`]);
  assert.deepEqual(String(said.stdout).trimEnd().split("\n"), [
    "it's",
    ..."antiphon launch claude --base-url https://claude.example.org --model".split(" "),
    "a b",
  ]);
  assert.doesNotMatch(lines("vscode", "https://a.org")[0] ?? "", /show-key/);
});

test("this machine is where the loopback is", () => {
  for (const url of [HERE, "http://localhost:1", "http://[::1]:1"]) assert.ok(isLoopback(url), url);
  for (const url of ["https://a.org", "http://127.0.0.1.a.org", "http://10.0.0.1"]) {
    assert.ok(!isLoopback(url), url);
  }
});

test("what is JSON to copy is JSON, whatever a model is called", () => {
  for (const id of ["vscode", "zed", "opencode"]) {
    JSON.parse(lines(id, "http://a", 'k"\\', { ...SIZED, id: 'm"' })[1] ?? "");
  }
});

test("an answer leaves a prompt its room, and a model without sizes gets none", () => {
  assert.equal(longestAnswer(MODEL), null);
  assert.equal(longestAnswer({ ...MODEL, max_tokens: 4096 }), 4096);
  assert.equal(longestAnswer(SIZED), 8192);
  assert.equal(longestAnswer({ ...SIZED, max_tokens: null }), 8192);
  assert.equal(
    longestAnswer({ ...SIZED, max_input_tokens: 1_000_000, max_tokens: 128_000 }),
    32_000,
  );
  const zed = JSON.parse(lines("zed")[1] ?? "").language_models.anthropic_compatible;
  const [only] = zed["Local Antiphon"].available_models;
  assert.deepEqual([only.max_tokens, only.max_output_tokens], [32_768, 8192]);
  assert.doesNotMatch(lines("opencode")[1] ?? "", /limit/);
  assert.doesNotMatch(lines("copilot")[1] ?? "", /TOKENS/);
});
