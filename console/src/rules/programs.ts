// The programs that `antiphon launch` sets up, and the same by hand. The pages of docs/how-to/clients
// show what stands here: a test holds both together.

import { isLoopback } from "./origins.ts";
import { shellWord } from "./snippets.ts";
import { NO_MODEL, type Sized, type Tool, type Way } from "./tool.ts";

/** What stands for the context window of a model that does not tell it, where a number is wanted. */
const USUAL_CONTEXT = 32_768;
/** The most tokens of an answer that agents ask for of a model that they do not know. */
const LONGEST_ANSWER = 32_000;
/** The variable in which Zed looks for the key of this provider. */
const ZED_VARIABLE = "LOCAL_ANTIPHON_API_KEY";

/** Return the most tokens of an answer that leave a prompt its room; null if that is not known. */
export function longestAnswer({
  max_input_tokens: context,
  max_tokens: most,
}: Sized): number | null {
  if (context === null) return most;
  return Math.max(1, Math.min(LONGEST_ANSWER, Math.floor(context / 4), most ?? context));
}

/** Return the lines for each program that `antiphon launch` knows, with the key filled in. */
export function programs(baseUrl: string, key: string, model: Sized): Tool[] {
  const known = { baseUrl, key, model };
  return [claudeCode(known), vsCode(known), zed(known), openCode(known), copilot(known)];
}

interface Known {
  baseUrl: string;
  key: string;
  model: Sized;
}

/**
 * Return the lines for the command. Beside the server it finds it by itself, and makes the program a
 * key of its own; elsewhere it has to be told of the server and the key.
 */
function launched({ baseUrl, key, model }: Known, commands: readonly string[]): Way {
  const beside = isLoopback(baseUrl);
  const chosen = model.id === NO_MODEL.id ? "" : ` --model ${word(model.id)}`;
  const where = beside ? "" : ` --base-url ${word(baseUrl)}`;
  const lines = commands.map((command) => `antiphon launch ${command}${where}${chosen}`);
  return {
    place: beside
      ? "In a shell beside the server; the program gets a key of its own"
      : "In a shell, with Antiphon installed there",
    text: [...(beside ? [] : [`export ANTHROPIC_AUTH_TOKEN=${shellWord(key)}`]), ...lines].join(
      "\n",
    ),
  };
}

function claudeCode(known: Known): Tool {
  return {
    id: "claude-code",
    name: "Claude Code",
    ways: [
      launched(known, ["claude"]),
      {
        place: "By hand",
        text: exported(
          [
            ["ANTHROPIC_BASE_URL", known.baseUrl],
            ["ANTHROPIC_API_KEY", known.key],
          ],
          "claude",
        ),
      },
    ],
  };
}

function vsCode(known: Known): Tool {
  const { baseUrl, model } = known;
  const context = model.max_input_tokens ?? USUAL_CONTEXT;
  const answer = Math.min(longestAnswer(model) ?? USUAL_CONTEXT, Math.floor(context / 4));
  const shown = isLoopback(baseUrl) ? ["vscode --show-key"] : [];
  return {
    id: "vscode",
    name: "VS Code",
    ways: [
      launched(known, ["vscode --write-settings", ...shown]),
      {
        place: "By hand: in chatLanguageModels.json. VS Code asks for the key",
        text: json([
          {
            name: "Antiphon",
            vendor: "customendpoint",
            // biome-ignore lint/suspicious/noTemplateCurlyInString: VS Code fills it in
            apiKey: "${input:antiphonKey}",
            apiType: "messages",
            models: [
              {
                id: model.id,
                name: model.display_name,
                url: `${baseUrl}/v1/messages`,
                toolCalling: true,
                vision: false,
                // Of the prompt alone: VS Code takes the sum of both for the context.
                maxInputTokens: context - answer,
                maxOutputTokens: answer,
              },
            ],
          },
        ]),
      },
    ],
  };
}

function zed(known: Known): Tool {
  const { baseUrl, model } = known;
  const context = model.max_input_tokens ?? USUAL_CONTEXT;
  return {
    id: "zed",
    name: "Zed",
    ways: [
      launched(known, ["zed --write-settings", "zed"]),
      {
        place: `By hand: in settings.json. The key goes into the panel LLM Providers, or into ${ZED_VARIABLE}`,
        text: json({
          language_models: {
            anthropic_compatible: {
              "Local Antiphon": {
                api_url: baseUrl,
                available_models: [
                  {
                    name: model.id,
                    display_name: model.display_name,
                    // Zed's name of the context window.
                    max_tokens: context,
                    max_output_tokens: Math.min(
                      longestAnswer(model) ?? USUAL_CONTEXT,
                      Math.floor(context / 4),
                    ),
                    capabilities: { tools: true, images: false, prompt_caching: true },
                  },
                ],
              },
            },
          },
        }),
      },
    ],
  };
}

function openCode(known: Known): Tool {
  const { baseUrl, key, model } = known;
  const sizes =
    model.max_input_tokens === null
      ? {}
      : { limit: { context: model.max_input_tokens, output: longestAnswer(model) } };
  return {
    id: "opencode",
    name: "OpenCode",
    ways: [
      launched(known, ["opencode"]),
      {
        place: "By hand: in opencode.json",
        text: json({
          $schema: "https://opencode.ai/config.json",
          provider: {
            antiphon: {
              name: "Antiphon",
              npm: "@ai-sdk/anthropic",
              options: { baseURL: `${baseUrl}/v1`, apiKey: key },
              models: { [model.id]: { name: model.display_name, ...sizes } },
            },
          },
          model: `antiphon/${model.id}`,
        }),
      },
    ],
  };
}

function copilot(known: Known): Tool {
  const { baseUrl, key, model } = known;
  const answer = longestAnswer(model);
  const sizes =
    model.max_input_tokens === null || answer === null
      ? []
      : ([
          ["COPILOT_PROVIDER_MAX_PROMPT_TOKENS", String(model.max_input_tokens - answer)],
          ["COPILOT_PROVIDER_MAX_OUTPUT_TOKENS", String(answer)],
        ] as const);
  return {
    id: "copilot",
    name: "Copilot CLI",
    ways: [
      launched(known, ["copilot"]),
      {
        place: "By hand",
        text: exported(
          [
            ["COPILOT_PROVIDER_TYPE", "anthropic"],
            ["COPILOT_PROVIDER_BASE_URL", baseUrl],
            ["COPILOT_PROVIDER_API_KEY", key],
            ["COPILOT_MODEL", model.id],
            ...sizes,
          ],
          "copilot",
        ),
      },
    ],
  };
}

function exported(variables: readonly (readonly [string, string])[], command: string): string {
  const lines = variables.map(([name, value]) => `export ${name}=${word(value)}`);
  return [...lines, command].join("\n");
}

/** Return text as a word of a shell, without quotes where none are needed. */
function word(text: string): string {
  return /^[\w./:@-]+$/.test(text) ? text : shellWord(text);
}

function json(value: unknown): string {
  return JSON.stringify(value, null, 2);
}
