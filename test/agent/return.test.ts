// An agent that was cut off comes back when its cable does, not when its next attempt is due.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent } from '../../agent/agent.ts';
import { EMPTY_MEMORY, LocalDb } from '../../agent/local-db.ts';
import { Remotes } from '../../agent/remotes.ts';
import { type Log, silentLog } from '../../base/log.ts';
import { ManualClock } from '../../base/manual-clock.ts';
import { seededRandom } from '../../base/random.ts';
import { FakeExecutor } from '../support/fake-executor.ts';
import { startTestManager } from '../support/test-manager.ts';

const STEP_MS = 100;

describe('an agent without a way to its managers', function () {
  this.timeout(20_000);

  it('tries at once when another node is reached again', async () => {
    await using manager = await startTestManager();
    const directory = await mkdtemp(join(tmpdir(), 'shoal-return-'));
    const clock = new ManualClock();
    const random = seededRandom(1);
    let attempts = 0;
    let isCut = false;
    const log: Log = { ...silentLog, info: (event) => void (attempts += event === 'session ended' ? 1 : 0) };
    const nodes = [{ nodeId: 'n2', address: '192.0.2.2' }];
    const agent = new Agent({
      credentials: await manager.worker(),
      executor: new FakeExecutor(),
      db: new LocalDb({ directory, clock, log }),
      memory: { ...EMPTY_MEMORY, ingress: [{ serviceId: 's', ports: [], nodes, lost: [] }] },
      remotes: new Remotes({ random, addresses: ['127.0.0.1:1'] }), // nobody listens there
      clock,
      random,
      log,
      dataAddress: '192.0.2.1',
      dataPort: 0,
      askNode: () => Promise.resolve(!isCut),
      onRole: () => undefined,
    });
    agent.start();
    const pass = async (ms: number): Promise<void> => {
      for (let passed = 0; passed < ms; passed += STEP_MS) {
        clock.advance(STEP_MS);
        await new Promise((resolve) => setTimeout(resolve, 2)); // attempts themselves go over a socket
      }
    };
    try {
      await pass(2_000);
      isCut = true;
      await pass(20_000);
      assert.equal(agent.paths()[0]?.state, 'suspected');
      const before = attempts;
      await pass(1_500);
      const meanwhile = attempts - before;
      isCut = false;
      await pass(1_500);
      assert.equal(agent.paths()[0]?.state, 'reached');
      assert.ok(
        attempts - before - meanwhile > meanwhile + 1,
        `${attempts - before - meanwhile} attempts after ${meanwhile}`,
      );
    } finally {
      await agent.stop();
      await rm(directory, { recursive: true });
    }
  });
});
