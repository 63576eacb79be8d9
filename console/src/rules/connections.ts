// What to copy so that a tool uses this server. With a slash and `/v1` only where the tool adds none.

import type { Model } from "../api/types.ts";
import { shellWord } from "./snippets.ts";

export interface Tool {
  id: string;
  name: string;
  /** Where the text goes. */
  place: string;
  text: string;
}

/** What stands for a key that is not known. */
export const NO_KEY = "sk-antiphon-…";

/** A model with its sizes in tokens: of its context window, and of its longest answer. */
export type Sized = Pick<Model, "id" | "max_input_tokens" | "max_tokens">;

/** What stands for a model where the server has none. */
export const NO_MODEL: Sized = { id: "claude-local", max_input_tokens: null, max_tokens: null };

/** What stands for the context window of a model that does not tell it; Zed wants a number. */
const USUAL_CONTEXT = 32_768;

/** Return what to copy for each tool, with the key filled in. */
export function tools(baseUrl: string, key: string, sized: Sized): Tool[] {
  const model = sized.id;
  const url = JSON.stringify(baseUrl);
  const versioned = JSON.stringify(`${baseUrl}/v1`);
  const secret = JSON.stringify(key);
  const exports = [
    `export ANTHROPIC_BASE_URL=${shellWord(baseUrl)}`,
    `export ANTHROPIC_API_KEY=${shellWord(key)}`,
  ].join("\n");
  return [
    {
      id: "curl",
      name: "curl",
      place: "In a shell",
      text: [
        `curl ${shellWord(`${baseUrl}/v1/messages`)} \\`,
        `  --header ${shellWord(`x-api-key: ${key}`)} \\`,
        `  --header 'anthropic-version: 2023-06-01' \\`,
        `  --header 'content-type: application/json' \\`,
        `  --data ${shellWord(JSON.stringify({ model, max_tokens: 64, messages: [{ role: "user", content: "Hello" }] }))}`,
      ].join("\n"),
    },
    {
      id: "python",
      name: "Python SDK",
      place: "pip install anthropic",
      text: [
        "import anthropic",
        "",
        `client = anthropic.Anthropic(base_url=${url}, api_key=${secret})`,
        "message = client.messages.create(",
        `    model=${JSON.stringify(model)},`,
        "    max_tokens=64,",
        '    messages=[{"role": "user", "content": "Hello"}],',
        ")",
        "print(message.content)",
      ].join("\n"),
    },
    {
      id: "typescript",
      name: "TypeScript SDK",
      place: "npm install @anthropic-ai/sdk",
      text: [
        'import Anthropic from "@anthropic-ai/sdk";',
        "",
        `const client = new Anthropic({ baseURL: ${url}, apiKey: ${secret} });`,
        "const message = await client.messages.create({",
        `  model: ${JSON.stringify(model)},`,
        "  max_tokens: 64,",
        '  messages: [{ role: "user", content: "Hello" }],',
        "});",
        "console.log(message.content);",
      ].join("\n"),
    },
    {
      id: "claude-code",
      name: "Claude Code",
      place: "In a shell",
      text: `${exports}\nclaude`,
    },
    {
      id: "vscode",
      name: "VS Code",
      place: "In settings.json, for the extension Claude Code",
      text: JSON.stringify(
        {
          "claudeCode.environmentVariables": [
            { name: "ANTHROPIC_BASE_URL", value: baseUrl },
            { name: "ANTHROPIC_API_KEY", value: key },
          ],
        },
        null,
        2,
      ),
    },
    {
      id: "zed",
      name: "Zed",
      place: "In settings.json; the key goes into the panel of the agent, or ANTHROPIC_API_KEY",
      text: JSON.stringify(
        {
          language_models: {
            anthropic: {
              api_url: baseUrl,
              available_models: [
                {
                  name: model,
                  display_name: model,
                  // Zed's name of the context window.
                  max_tokens: sized.max_input_tokens ?? USUAL_CONTEXT,
                  ...(sized.max_tokens === null ? {} : { max_output_tokens: sized.max_tokens }),
                },
              ],
            },
          },
        },
        null,
        2,
      ),
    },
    {
      id: "opencode",
      name: "OpenCode",
      place: "In opencode.json",
      text: JSON.stringify(
        {
          $schema: "https://opencode.ai/config.json",
          provider: {
            anthropic: {
              options: { baseURL: `${baseUrl}/v1`, apiKey: key },
              models: { [model]: {} },
            },
          },
        },
        null,
        2,
      ),
    },
    {
      id: "ai-sdk",
      name: "AI SDK",
      place: "npm install ai @ai-sdk/anthropic",
      text: [
        'import { createAnthropic } from "@ai-sdk/anthropic";',
        'import { generateText } from "ai";',
        "",
        `const anthropic = createAnthropic({ baseURL: ${versioned}, apiKey: ${secret} });`,
        "const { text } = await generateText({",
        `  model: anthropic(${JSON.stringify(model)}),`,
        '  prompt: "Hello",',
        "});",
        "console.log(text);",
      ].join("\n"),
    },
  ];
}
