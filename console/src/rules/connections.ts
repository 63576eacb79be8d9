// What to copy so that a tool uses this server. With a slash and `/v1` only where the tool adds none.

import { programs } from "./programs.ts";
import { shellWord } from "./snippets.ts";
import type { Sized, Tool } from "./tool.ts";

/** Return what to copy for each tool, with the key filled in. */
export function tools(baseUrl: string, key: string, sized: Sized): Tool[] {
  const model = sized.id;
  const url = JSON.stringify(baseUrl);
  const versioned = JSON.stringify(`${baseUrl}/v1`);
  const secret = JSON.stringify(key);
  return [
    {
      id: "curl",
      name: "curl",
      ways: [
        {
          place: "In a shell",
          text: [
            `curl ${shellWord(`${baseUrl}/v1/messages`)} \\`,
            `  --header ${shellWord(`x-api-key: ${key}`)} \\`,
            `  --header 'anthropic-version: 2023-06-01' \\`,
            `  --header 'content-type: application/json' \\`,
            `  --data ${shellWord(JSON.stringify({ model, max_tokens: 64, messages: [{ role: "user", content: "Hello" }] }))}`,
          ].join("\n"),
        },
      ],
    },
    {
      id: "python",
      name: "Python SDK",
      ways: [
        {
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
      ],
    },
    {
      id: "typescript",
      name: "TypeScript SDK",
      ways: [
        {
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
      ],
    },
    ...programs(baseUrl, key, sized),
    {
      id: "ai-sdk",
      name: "AI SDK",
      ways: [
        {
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
      ],
    },
  ];
}
