import assert from 'node:assert/strict';
import { CodedError, codeOf, type ErrorCode } from '../../base/errors.ts';
import { type ForwardDeps, ForwardedControl } from '../../manager/forward.ts';
import type { Channel, LeaderWork } from '../../proto/rpc.ts';

const here = new AbortController().signal;

/** A leader whose state refuses with `refusal`, and which then finds out whether it still leads. */
function aLeader(refusal: ErrorCode, stillLeads: boolean): { control: ForwardedControl; barriers: () => number } {
  let barriers = 0;
  const deps = {
    nodeId: 'node1',
    control: {
      call: async () => {
        throw new CodedError(refusal, 'by the state');
      },
    },
    consensus: {
      status: () => ({ role: 'leader', term: 4 }),
      readBarrier: async () => {
        barriers += 1;
        if (barriers > 1 && !stillLeads) throw new CodedError('unavailable', 'leadership was lost');
        return 1;
      },
    },
    leader: { run: (work: LeaderWork<unknown>) => work.local(here) },
  };
  return { control: new ForwardedControl(deps as unknown as ForwardDeps), barriers: () => barriers };
}

describe('a write that the state refuses', () => {
  const change = { service: 'web' };

  it('is refused by a manager that is sure to lead', async () => {
    const { control, barriers } = aLeader('not-found', true);
    await assert.rejects(control.call('RemoveService', change), (error) => codeOf(error) === 'not-found');
    assert.equal(barriers(), 2);
  });

  it('is not refused by one that was deposed: it may have an old state', async () => {
    const { control } = aLeader('not-found', false);
    await assert.rejects(control.call('RemoveService', change), (error) => codeOf(error) === 'unavailable');
  });

  it('keeps an unknown outcome as it is', async () => {
    const { control, barriers } = aLeader('unknown-outcome', false);
    await assert.rejects(control.call('RemoveService', change), (error) => codeOf(error) === 'unknown-outcome');
    assert.equal(barriers(), 1);
  });
});

describe('a read on a manager that does not lead', () => {
  it("is answered by its own state once that is as new as the leader's, refusals too", async () => {
    const steps: string[] = [];
    const deps = {
      nodeId: 'node2',
      control: {
        call: async () => {
          steps.push('read');
          throw new CodedError('not-found', 'service web not found');
        },
      },
      reads: { barrier: async () => void steps.push('barrier') },
      leader: {
        // Whatever fails within is taken for the leader's loss.
        run: (work: LeaderWork<unknown>) =>
          work.remote({} as Channel, here).catch(() => {
            throw new CodedError('unavailable', 'the leader was lost');
          }),
      },
    };
    const control = new ForwardedControl(deps as unknown as ForwardDeps);
    await assert.rejects(control.call('GetService', { service: 'web' }), (error) => codeOf(error) === 'not-found');
    assert.deepEqual(steps, ['barrier', 'read']);
  });
});
