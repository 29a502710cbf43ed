import assert from 'node:assert/strict';
import { KnownNetworks } from '../../agent/container/known-networks.ts';

const never = new AbortController().signal;

describe('networks that a task waits for', () => {
  it('are waited for until all of them are there', async () => {
    const known = new KnownNetworks();
    known.add('a');
    let ready = false;
    const waiting = known.have(['a', 'b'], never).then(() => {
      ready = true;
    });
    await Promise.resolve();
    assert.equal(ready, false);
    known.add('b');
    await waiting;
  });

  it('end the wait with the reason when this machine can not carry one of them, now or later', async () => {
    const known = new KnownNetworks();
    const waiting = known.have(['a'], never);
    known.refuse('a', 'network a: never in clear');
    await assert.rejects(waiting, { code: 'not-implemented', message: 'network a: never in clear' });
    await assert.rejects(known.have(['a'], never), /never in clear/);
    known.add('a');
    await known.have(['a'], never);
  });
});
