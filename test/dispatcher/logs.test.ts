import assert from 'node:assert/strict';
import type { LogOptions, TaskLogLine } from '../../proto/control.ts';
import { encodeLogRecord, type LogRecord, LogRecordReader, parseLogOptions } from '../../proto/log-record.ts';
import type { NodeId, Task, TaskId } from '../../proto/objects.ts';
import { LogBroker } from '../../manager/dispatcher/log-broker.ts';
import { CodedError } from '../../base/errors.ts';
import { systemClock } from '../../base/clock.ts';
import { FakeExecutor } from '../support/fake-executor.ts';
import { createMemoryStore } from '../support/memory-store.ts';
import { aNode, aService, anId, aTask } from '../support/objects.ts';
import { assign, stateOf } from '../support/tasks.ts';
import { startTestManager } from '../support/test-manager.ts';
import { until } from '../support/until.ts';

const ALL: LogOptions = { stdout: true, stderr: true, follow: false };
const never = new AbortController().signal;
const record = (second: number, text: string, stream: LogRecord['stream'] = 'stdout'): LogRecord => ({
  stream,
  timestamp: `2026-01-01T00:00:${String(second).padStart(2, '0')}.000000000Z`,
  bytes: Buffer.from(text),
});
const textOf = ({ bytes }: TaskLogLine): string => Buffer.from(bytes).toString();

async function collect(lines: AsyncIterable<TaskLogLine>): Promise<string[]> {
  const texts: string[] = [];
  for await (const line of lines) texts.push(textOf(line));
  return texts;
}

describe('log records', () => {
  it('come back from chunks of any size', () => {
    const records = [record(1, 'hello\n'), record(2, ''), record(3, 'ä'.repeat(300), 'stderr')];
    const bytes = Buffer.concat(records.map(encodeLogRecord));
    for (const size of [1, 7, 1_000]) {
      const reader = new LogRecordReader();
      const read: LogRecord[] = [];
      for (let at = 0; at < bytes.length; at += size) read.push(...reader.read(bytes.subarray(at, at + size)));
      assert.deepEqual(
        read.map((one) => ({ ...one, bytes: Buffer.from(one.bytes) })),
        records,
      );
    }
  });

  it('refuse a request that is none', () => {
    assert.throws(() => parseLogOptions(Buffer.from('[]')), /log request must be an object/);
    assert.throws(() => parseLogOptions(Buffer.from('{"stdout":1}')), /stdout must be true or false/);
  });
});

describe('the logs of a service', () => {
  it('are merged from its nodes in order of time, through streams that the agents open', async () => {
    await using manager = await startTestManager();
    const service = aService();
    await manager.store.update((tx) => tx.services.put(service));
    const said = (texts: readonly (readonly [number, string])[]) =>
      new FakeExecutor({ logs: () => texts.map(([second, text]) => record(second, text)) });
    const [one, two] = [
      await manager.agent(
        said([
          [1, 'a'],
          [4, 'd'],
        ]),
      ),
      await manager.agent(
        said([
          [2, 'b'],
          [3, 'c'],
        ]),
      ),
    ];
    const tasks = [await assign(manager, one.nodeId), await assign(manager, two.nodeId)];
    await until('both run', () => tasks.every((id) => stateOf(manager, id) === 'running'));
    const { logs } = manager.dispatcher;
    assert.deepEqual(await collect(logs.logs({ service: 'web' }, ALL, never)), ['a', 'b', 'c', 'd']);
    assert.deepEqual(await collect(logs.logs({ task: tasks[1] ?? '' }, ALL, never)), ['b', 'c']);
  });

  it('arrive whole although they are longer than the credit of a stream', async () => {
    await using manager = await startTestManager();
    await manager.store.update((tx) => tx.services.put(aService()));
    const line = 'x'.repeat(10_000);
    const executor = new FakeExecutor({ logs: () => Array.from({ length: 200 }, (_, at) => record(at % 60, line)) });
    const { nodeId } = await manager.agent(executor);
    const id = await assign(manager, nodeId);
    await until('it runs', () => stateOf(manager, id) === 'running');
    const texts = await collect(manager.dispatcher.logs.logs({ service: 'web' }, ALL, never));
    assert.equal(texts.length, 200);
    assert.ok(texts.every((text) => text === line));
  });

  it('name a node that is down in one line and do not wait for it', async () => {
    await using manager = await startTestManager({ dispatcher: { nodeDownAfterMs: 300, heartbeatMs: 100 } });
    await manager.store.update((tx) => tx.services.put(aService()));
    const alive = await manager.agent(new FakeExecutor({ logs: () => [record(1, 'alive')] }));
    const dead = await manager.agent(new FakeExecutor());
    const tasks = [await assign(manager, alive.nodeId), await assign(manager, dead.nodeId)];
    await until('both run', () => tasks.every((id) => stateOf(manager, id) === 'running'));
    await dead.agent.stop();
    await until('it is down', () => manager.store.view().nodes.get(dead.nodeId)?.status.state === 'down');
    const startMs = performance.now();
    const lines: TaskLogLine[] = [];
    for await (const one of manager.dispatcher.logs.logs({ service: 'web' }, ALL, never)) lines.push(one);
    assert.deepEqual(
      lines.map(({ stream }) => stream),
      ['stdout', 'stderr'],
    );
    assert.match(textOf(lines[1] ?? assert.fail()), new RegExp(`incomplete.*${dead.nodeId}: the node is down`));
    assert.ok(performance.now() - startMs < 1_000);
  });

  it('are refused for a service or task that does not exist', () => {
    const { store } = createMemoryStore();
    const broker = new LogBroker({ store, streams: { open: () => assert.fail() }, clock: systemClock });
    assert.throws(() => broker.logs({ service: 'nope' }, ALL, never), /service nope not found/);
    assert.throws(() => broker.logs({ task: 'nope' }, ALL, never), /task nope not found/);
  });

  it('followed, take in tasks that appear later, and end with their reader', async () => {
    const { store } = createMemoryStore({ clock: systemClock });
    const node = anId('node', 1) as NodeId;
    const put = (number: number) =>
      store.update((tx) => {
        const status = { state: 'running', atMs: 0, message: '' } as const;
        tx.tasks.put(aTask({ id: anId('task', number) as TaskId, nodeId: node, status } satisfies Partial<Task>));
      });
    await store.update((tx) => {
      tx.nodes.put(aNode({ id: node }));
      tx.services.put(aService());
    });
    await put(1);
    const open = async function* ({ taskId }: { taskId: string }, abort: AbortSignal): AsyncGenerator<Buffer> {
      yield encodeLogRecord(record(1, taskId.slice(-1)));
      await new Promise((_resolve, reject) => {
        abort.addEventListener('abort', () => reject(new CodedError('aborted', 'over')), { once: true });
      });
    };
    const broker = new LogBroker({ store, streams: { open }, clock: systemClock });
    const reader = new AbortController();
    const texts: string[] = [];
    const reading = (async () => {
      for await (const line of broker.logs({ service: 'web' }, { ...ALL, follow: true }, reader.signal)) {
        texts.push(textOf(line));
      }
    })().catch(() => undefined);
    await until('the first speaks', () => texts.length === 1);
    await put(2);
    await until('the second speaks', () => texts.length === 2);
    reader.abort();
    await reading;
    assert.deepEqual(texts, ['1', '2']);
  });
});
