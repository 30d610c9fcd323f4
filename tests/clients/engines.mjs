// The libraries that chat programs are built on, each with one conversation: a tool is called, its result goes back, the answer ends it.
// node engines.mjs ENGINE URL KEY MODEL prints {"called": [arguments of each call], "text": the last answer}.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { HumanMessage, ToolMessage } from "@langchain/core/messages";
import { tool as langchainTool } from "@langchain/core/tools";
import { ChatOpenAI } from "@langchain/openai";
import { stepCountIs, streamText, tool } from "ai";
import OpenAI from "openai";
import { z } from "zod";

const [, , engine, url, apiKey, model] = process.argv;
const prompt = "What is the weather in Oslo?";
const inputSchema = z.object({ city: z.string() });
const description = "The weather of a city.";
const called = [];
const weather = async (asked) => {
  called.push(asked);
  return "Rain.";
};

// Chatbox, Cherry Studio
async function vercel(speaks) {
  const tools = { weather: tool({ description, inputSchema, execute: weather }) };
  const result = streamText({ model: speaks(model), prompt, tools, stopWhen: stepCountIs(3), maxRetries: 0, onError: ({ error }) => { throw error; } });
  let text = "";
  for await (const part of result.fullStream) {
    if (part.type === "error") throw part.error;
    if (part.type === "start-step") text = "";
    if (part.type === "text-delta") text += part.text;
  }
  const usage = await result.totalUsage;
  if (!(usage.inputTokens > 0 && usage.outputTokens > 0)) throw new Error(`no usage: ${JSON.stringify(usage)}`);
  return text;
}

// LobeChat, and Open WebUI in its own words
async function openai(baseURL) {
  const client = new OpenAI({ apiKey, baseURL, maxRetries: 0 });
  const parameters = z.toJSONSchema(inputSchema);
  const runner = client.chat.completions.runTools({
    model,
    stream: true,
    stream_options: { include_usage: true },
    messages: [{ role: "user", content: prompt }],
    tools: [{ type: "function", function: { name: "weather", description, parameters, parse: JSON.parse, function: weather } }],
  });
  return await runner.finalContent();
}

// LibreChat
async function langchain(useResponsesApi) {
  const chat = new ChatOpenAI({ model, apiKey, configuration: { baseURL: `${url}/v1` }, streamUsage: true, maxRetries: 0, useResponsesApi });
  const bound = chat.bindTools([langchainTool(weather, { name: "weather", description, schema: inputSchema })]);
  const messages = [new HumanMessage(prompt)];
  for (let step = 0; step < 3; step++) {
    let whole;
    for await (const chunk of await bound.stream(messages)) whole = whole === undefined ? chunk : whole.concat(chunk);
    messages.push(whole);
    if (!whole.tool_calls?.length) return whole.text;
    for (const call of whole.tool_calls) messages.push(new ToolMessage({ content: await weather(call.args), tool_call_id: call.id }));
  }
}

const engines = {
  "ai-sdk-compatible": () => vercel(createOpenAICompatible({ name: "penstock", baseURL: `${url}/v1`, apiKey, includeUsage: true })),
  "ai-sdk-responses": () => vercel(createOpenAI({ baseURL: `${url}/v1`, apiKey }).responses),
  "ai-sdk-anthropic": () => vercel(createAnthropic({ baseURL: `${url}/v1`, apiKey })),
  "ai-sdk-google": () => vercel(createGoogleGenerativeAI({ baseURL: `${url}/v1beta`, apiKey })),
  "openai": () => openai(`${url}/v1`),
  "openai-without-version": () => openai(url),
  "langchain": () => langchain(false),
  "langchain-responses": () => langchain(true),
};
const text = await engines[engine]();
console.log(JSON.stringify({ called, text }));
