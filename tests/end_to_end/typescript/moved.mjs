// Prints what the programs that tests of our SDK move print with the official one.

import * as sdk from '@anthropic-ai/sdk';
import { betaZodTool } from '@anthropic-ai/sdk/helpers/beta/zod';
import { zodOutputFormat } from '@anthropic-ai/sdk/helpers/zod';
import * as z from 'zod';
import { run } from '../../../sdk/typescript/tests/moved/run.js';

const settings = { baseURL: process.env.MOVED_URL, apiKey: process.env.MOVED_KEY, logLevel: 'off' };
const told = await run({ Anthropic: sdk.default, sdk, betaZodTool, zodOutputFormat, z, settings });
console.log(JSON.stringify(told, null, 2));
