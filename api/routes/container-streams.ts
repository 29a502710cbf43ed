// /containers/{id}: attach, wait, logs, stats. Whatever can be refused is refused before the head leaves.
import { CodedError, fail } from '../../base/errors.ts';
import type { AttachedStdio, LogRequest } from '../../runtime/container/contract.ts';
import { joinStdio } from '../attached-stdio.ts';
import { logDetails } from '../convert/log-details.ts';
import { statsOrNothing, statsSample, statsSamples } from '../convert/stats.ts';
import { nsToMs, parseTimestampNs } from '../convert/time.ts';
import { parseDetachKeys } from '../detach-keys.ts';
import type { ApiDeps } from '../deps.ts';
import type { HijackedConnection } from '../hijack.ts';
import { logChunks } from '../log-stream.ts';
import { type Chunk, hijack, json, stream, webSocket } from '../reply.ts';
import type { ApiRequest } from '../request.ts';
import type { Routes } from '../routes.ts';
import { frame, MULTIPLEXED_STREAM, RAW_STREAM } from '../stdio-frames.ts';
import { isBefore } from '../versions.ts';

export function addContainerStreamRoutes(router: Routes, { runtime, clock }: ApiDeps): void {
  const { containers } = runtime;

  /** Attached before the head leaves: the client starts the container as soon as it has seen it. */
  const attach = async (request: ApiRequest, framed: boolean) => {
    const { query, abort } = request;
    const info = containers.get(request.param('id'));
    const { terminal, openStdin, stdinOnce } = info.config;
    const detachKeys = parseDetachKeys(query.text('detachKeys'));
    const stdin = query.flag('stdin') && openStdin;
    const want = { stdin, stdout: query.flag('stdout'), stderr: query.flag('stderr') };
    const stdio = query.flag('stream') ? await containers.attach(info.id, want) : nothingAttached();
    const past: LogRequest = { ...want, follow: false, tailLines: 'all', sinceMs: 0, untilMs: 0 };
    const raw = terminal || !framed;
    const run = async (connection: HijackedConnection): Promise<void> => {
      if (query.flag('logs')) {
        for await (const { stream: name, bytes } of containers.logs(info.id, past, abort)) {
          await connection.write(raw ? bytes : frame(name, bytes));
        }
      }
      await joinStdio(connection, stdio, { terminal, raw, stdin, closesStdin: stdinOnce, detachKeys, clock });
    };
    return { terminal, run, leave: () => stdio.detach() };
  };

  router.add('POST', '/containers/{id}/attach', async (request) => {
    const { terminal, run, leave } = await attach(request, true);
    return hijack(stdioType(request, terminal), run, leave);
  });

  router.add('GET', '/containers/{id}/attach/ws', async (request) => {
    if (!request.upgraded) fail('invalid', 'this needs a websocket: Upgrade: websocket is missing');
    const { run, leave } = await attach(request, false);
    return webSocket(run, leave);
  });

  router.add('POST', '/containers/{id}/wait', async (request) => {
    const condition = waitCondition(request.query.text('condition'));
    const { id } = containers.get(request.param('id'));
    const exit = containers.wait(id, condition, request.abort);
    return stream('application/json', exitJson(exit, request.version));
  });

  router.add('GET', '/containers/{id}/logs', async (request) => {
    const info = containers.get(request.param('id'));
    const wanted = logRequest(request, clock.nowMs());
    if (info.config.logDriver.name === 'none') {
      fail('not-implemented', 'configured logging driver does not support reading');
    }
    const entries = containers.logs(info.id, wanted, request.abort);
    const raw = info.config.terminal;
    const details = request.query.flag('details') ? logDetails(info) : undefined;
    const chunks = logChunks(entries, { timestamps: request.query.flag('timestamps'), details, raw });
    return stream(stdioType({ upgraded: true, version: request.version }, raw), chunks);
  });

  router.add('GET', '/containers/{id}/stats', async (request) => {
    const { query } = request;
    const info = containers.get(request.param('id'));
    const samples = statsSamples(containers, info, { clock, abort: request.abort });
    if (query.flag('stream', true)) return stream('application/json', samples);
    if (query.flag('one-shot'))
      return json(200, statsSample(info, await statsOrNothing(containers, info.id), undefined));
    return stream('application/json', secondOf(samples));
  });
}

/** The multiplexed type is only told to clients that know it. */
export function stdioType(request: { upgraded: boolean; version: string }, terminal: boolean): string {
  return request.upgraded && !terminal && !isBefore(request.version, '1.42') ? MULTIPLEXED_STREAM : RAW_STREAM;
}

function nothingAttached(): AttachedStdio {
  const nowhere = async (): Promise<void> => {
    throw new CodedError('conflict', 'nothing is attached');
  };
  return { output: noFrames(), write: nowhere, closeStdin: nowhere, detach() {} };
}

async function* noFrames(): AsyncGenerator<never> {}

function waitCondition(text: string): 'not-running' | 'next-exit' | 'removed' {
  if (text === '' || text === 'not-running') return 'not-running';
  if (text === 'next-exit' || text === 'removed') return text;
  return fail('invalid', `invalid condition: "${text}"`);
}

async function* exitJson(exit: Promise<{ exitCode: number; error: string }>, version: string): AsyncGenerator<Chunk> {
  const { exitCode, error } = await exit;
  const none = isBefore(version, '1.42') ? { Error: null } : {};
  const why = error === '' ? none : { Error: { Message: error } };
  yield `${JSON.stringify({ ...why, StatusCode: exitCode })}\n`;
}

export function logRequest({ query }: ApiRequest, nowMs: number): LogRequest {
  const stdout = query.flag('stdout');
  const stderr = query.flag('stderr');
  if (!stdout && !stderr) fail('invalid', 'Bad parameters: you must choose at least one stream');
  return {
    stdout,
    stderr,
    follow: query.flag('follow'),
    tailLines: tailLines(query.text('tail')),
    sinceMs: timeMs(query.text('since'), 'since', nowMs),
    untilMs: timeMs(query.text('until'), 'until', nowMs),
  };
}

/** As Docker: anything that is not a number means all. */
function tailLines(text: string): number | 'all' {
  return /^\d+$/.test(text) ? Number(text) : 'all';
}

function timeMs(text: string, name: string, nowMs: number): number {
  const ns = parseTimestampNs(text, name, nowMs);
  return ns === undefined ? 0 : nsToMs(ns);
}

/** Without a stream the client wants one sample that has a predecessor to compare with. */
async function* secondOf(samples: AsyncIterable<Chunk>): AsyncGenerator<Chunk> {
  let count = 0;
  for await (const sample of samples) {
    count += 1;
    if (count < 2) continue;
    yield sample;
    return;
  }
}
