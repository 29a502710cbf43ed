import assert from 'node:assert/strict';
import { silentLog } from '../../base/log.ts';
import { seededRandom } from '../../base/random.ts';
import { rolesLoop } from '../../manager/roles.ts';
import type { KeyringId, NodeId } from '../../proto/objects.ts';
import { managerNode } from '../support/control.ts';
import { createMemoryStore } from '../support/memory-store.ts';
import { aNetwork, aNetworkSpec, anId } from '../support/objects.ts';
import { until } from '../support/until.ts';

const [LEADER, DEMOTED] = [1, 2].map((number) => anId('node', number) as NodeId) as [NodeId, NodeId];
const RING = anId('network', 1) as string as KeyringId;

describe('a manager that is demoted', () => {
  it('leaves the raft group, and the keys of encrypted networks turn only when it has', async () => {
    const { store, clock } = createMemoryStore();
    const removed: string[] = [];
    let members = [LEADER, DEMOTED].map((nodeId) => ({ nodeId, raftAddress: '', learner: false }));
    const turned = (): boolean => store.view().keyrings.get(RING)?.hurriedTurns !== undefined;
    const consensus = {
      status: () => ({ members }) as never,
      addMember: () => assert.fail('nobody comes'),
      transferLeadership: () => assert.fail('the leader stays'),
      removeMember: (nodeId: string) => {
        assert.equal(turned(), false, 'or it would be told the next keys');
        removed.push(nodeId);
        members = members.filter((member) => member.nodeId !== nodeId);
        return Promise.resolve();
      },
    };
    await store.update((tx) => {
      tx.networks.put(aNetwork({ spec: aNetworkSpec({ options: { encrypted: '' } }) }));
      tx.keyrings.put({ id: RING, keys: [], sendId: 1, turnAtMs: 1e15 });
      for (const number of [1, 2]) tx.nodes.put(managerNode(number));
    });
    const over = new AbortController();
    const options = { abort: over.signal, clock, random: seededRandom(7), log: silentLog };
    const ended = rolesLoop(consensus, LEADER).run(store, options);
    await store.update((tx) => {
      const node = tx.nodes.get(DEMOTED) ?? assert.fail('no node');
      tx.nodes.put({ ...node, spec: { ...node.spec, role: 'worker' } });
    });
    await until('it is a worker', () => store.view().nodes.get(DEMOTED)?.manager === undefined);
    assert.deepEqual(removed, [DEMOTED]);
    assert.equal(turned(), true);
    over.abort();
    await assert.rejects(ended);
  });
});
