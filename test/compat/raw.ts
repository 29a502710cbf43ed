// Sends the rows to one engine, request by request, and says of each what its answer was made of.
import { factsOf } from './facts.ts';
import type { Row, Step } from './rows.ts';
import { CONTAINER_ROWS } from './rows/containers.ts';
import { FILE_ROWS } from './rows/files.ts';
import { IMAGE_ROWS } from './rows/images.ts';
import { NETWORK_ROWS } from './rows/networks.ts';
import { STREAM_ROWS } from './rows/streams.ts';
import { SYSTEM_ROWS } from './rows/system.ts';
import { VERSION_ROWS } from './rows/versions.ts';
import { ask, type WireAnswer } from './wire.ts';

export const ROWS: readonly Row[] = [
  ...SYSTEM_ROWS,
  ...CONTAINER_ROWS,
  ...STREAM_ROWS,
  ...FILE_ROWS,
  ...IMAGE_ROWS,
  ...NETWORK_ROWS,
  ...VERSION_ROWS,
];

/** Request → the facts of its answer. */
export type Views = ReadonlyMap<string, readonly string[]>;

export async function viewsOf(socketPath: string, rows: readonly Row[]): Promise<Views> {
  const views = new Map<string, readonly string[]>();
  for (const row of rows) {
    for (const [index, { step, answer }] of (await answersOf(socketPath, row)).entries()) {
      const key = `${row.name} ${index + 1}: ${step.at}${bodyOf(step).slice(0, 100)}`;
      views.set(key, answer instanceof Error ? [`no answer: ${answer.message}`] : await factsOf(answer, step.values));
    }
  }
  return views;
}

/** The answers to a row's steps, one after the other. */
export async function answersOf(
  socketPath: string,
  { version, steps }: Row,
): Promise<{ step: Step; answer: WireAnswer | Error }[]> {
  const kept = new Map<string, string>();
  const answers: { step: Step; answer: WireAnswer | Error }[] = [];
  for (const step of steps) {
    const answer = await askStep(socketPath, version, step, kept);
    if (step.keep !== undefined) kept.set(step.keep, idOf(answer));
    answers.push({ step, answer });
  }
  return answers;
}

const bodyOf = ({ json, body }: Step): string =>
  json !== undefined ? ` ${JSON.stringify(json)}` : typeof body === 'string' ? ` ${JSON.stringify(body)}` : '';

async function askStep(
  socketPath: string,
  version: string,
  step: Step,
  kept: ReadonlyMap<string, string>,
): Promise<WireAnswer | Error> {
  const [method = '', ...rest] = step.at.split(' ');
  const { json, body: bytes = json === undefined ? undefined : JSON.stringify(json) } = step;
  const type = bytes === undefined ? {} : { 'Content-Type': 'application/json' };
  try {
    return await ask(socketPath, {
      method,
      path: `/v${version}${filledIn(rest.join(' '), kept)}`,
      headers: { ...type, ...step.headers },
      body: bytes === undefined ? undefined : Buffer.from(bytes),
      input: step.input,
    });
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

function filledIn(path: string, kept: ReadonlyMap<string, string>): string {
  const now = ((Date.now() + 2) / 1000).toFixed(3);
  return path
    .replaceAll(/\{(\w+)(?::(\d+))?\}/g, (_, name: string, length?: string) =>
      name === 'now' ? now : (kept.get(name) ?? 'nothing').slice(0, length === undefined ? Infinity : Number(length)),
    )
    .replaceAll(/[^!-~]|[{}"[\]^$\\]/g, encodeURIComponent);
}

function idOf(answer: WireAnswer | Error): string {
  if (answer instanceof Error) return '';
  try {
    const body = JSON.parse(answer.body.toString('utf8')) as { Id?: string; ID?: string };
    return body.Id ?? body.ID ?? '';
  } catch {
    return ''; // the difference shows in the answer itself
  }
}
