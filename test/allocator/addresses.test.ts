import assert from 'node:assert/strict';
import { AddressBook } from '../../manager/allocator/addresses.ts';
import type { NetworkId, Task, TaskId } from '../../proto/objects.ts';
import { createMemoryStore } from '../support/memory-store.ts';
import { ControlPlane } from '../support/control-plane.ts';
import { aNetwork, aNetworkSpec, aService, aTask, aTaskSpec, anId } from '../support/objects.ts';

const NET = anId('network', 1) as NetworkId;
const at = (address: string) => [{ networkId: NET, address }];

async function world(subnet: string, tasks: readonly [address: string, state: Task['status']['state']][] = []) {
  const { store } = createMemoryStore();
  await store.update((tx) => {
    tx.networks.put(aNetwork({ subnet }));
    tx.services.put(aService({ virtualAddresses: at('10.0.1.2') }));
    for (const [index, [address, state]] of tasks.entries()) {
      const status = { state, atMs: 0, message: '' };
      tx.tasks.put(aTask({ id: anId('task', index + 1) as TaskId, status, attachments: at(address) }));
    }
  });
  const endedAtMs = store.view().version && [...store.view().tasks.all()][0]?.updatedAtMs;
  return { view: () => store.view(), endedAtMs: endedAtMs ?? 0 };
}

describe('addresses on networks of the cluster', () => {
  it('go on behind the highest in use, and begin again at the start', async () => {
    const { view } = await world('10.0.1.0/29', [['10.0.1.4', 'running']]);
    const pages = new AddressBook().open(view(), 0);
    const taken = [1, 2, 3].map(() => pages.take([NET])?.[0]?.address);
    assert.deepEqual(taken, ['10.0.1.5', '10.0.1.6', '10.0.1.3']);
  });

  it('say what is full, with its name and numbers', async () => {
    const { view } = await world('10.0.1.0/29', [
      ['10.0.1.3', 'running'],
      ['10.0.1.4', 'orphaned'],
    ]);
    const pages = new AddressBook().open(view(), 0);
    assert.ok(pages.take([NET]) && pages.take([NET]));
    assert.equal(pages.take([NET]), undefined);
    assert.equal(pages.refusal, 'network back has no free address: 6 of 6 in 10.0.1.0/29 are taken');
  });

  it('rest after a task has ended; when nothing else is left for three seconds only', async () => {
    const { view, endedAtMs } = await world('10.0.1.0/29', [['10.0.1.3', 'shutdown']]);
    const take = (afterMs: number): (string | undefined)[] => {
      const pages = new AddressBook().open(view(), endedAtMs + afterMs);
      return [1, 2, 3, 4].map(() => pages.take([NET])?.[0]?.address);
    };
    assert.deepEqual(take(2_999), ['10.0.1.4', '10.0.1.5', '10.0.1.6', undefined]);
    assert.deepEqual(take(3_000), ['10.0.1.4', '10.0.1.5', '10.0.1.6', '10.0.1.3']);
    assert.equal(take(30_000)[0], '10.0.1.3');
  });

  it('rest also when their owner is gone from the store', async () => {
    const { view } = await world('10.0.1.0/29');
    const book = new AddressBook();
    book.giveBack(at('10.0.1.3'), 1_000);
    assert.equal(book.open(view(), 1_000).take([NET])?.[0]?.address, '10.0.1.4');
    assert.equal(book.open(view(), 31_000).take([NET])?.[0]?.address, '10.0.1.3');
  });

  it('are all there again after 10 000 owners, none of two at once (moby#37338, #40989, #41576)', async () => {
    const { view } = await world('10.0.1.0/26');
    const book = new AddressBook();
    for (let turn = 1; turn <= 2_500; turn += 1) {
      const pages = book.open(view(), turn * 10_000);
      const taken = [1, 2, 3, 4].flatMap(() => pages.take([NET]) ?? assert.fail(pages.refusal));
      assert.equal(new Set(taken.map(({ address }) => address)).size, 4);
      book.keep(pages);
      book.giveBack(taken, turn * 10_000);
    }
    const pages = book.open(view(), 26_000_000);
    const all = Array.from({ length: 60 }, () => pages.take([NET])?.[0]?.address);
    assert.equal(new Set(all).size, 60);
    assert.ok(!all.includes(undefined));
    assert.equal(pages.take([NET]), undefined);
    assert.equal(pages.refusal, 'network back has no free address: 62 of 62 in 10.0.1.0/26 are taken');
  });

  it('are chosen in the range of each subnet in turn, never those that others have', async () => {
    const { store } = createMemoryStore();
    const further = [{ subnet: '10.0.2.0/29', range: '10.0.2.4/30' }];
    const asked = { subnet: '10.0.1.0/29', range: '10.0.1.0/30', auxiliary: { router: '10.0.1.3' } };
    await store.update((tx) => {
      const settled = { subnet: '10.0.1.0/29', gateway: '10.0.1.1' };
      const second = [{ subnet: '10.0.2.0/29', gateway: '10.0.2.1' }];
      tx.networks.put(aNetwork({ spec: aNetworkSpec({ ...asked, further }), ...settled, further: second }));
    });
    const book = new AddressBook();
    const pages = book.open(store.view(), 0);
    const taken = [1, 2, 3, 4].map(() => pages.take([NET])?.[0]?.address);
    assert.deepEqual(taken, ['10.0.1.2', '10.0.2.5', '10.0.2.6', '10.0.2.4']);
    assert.equal(pages.take([NET]), undefined);
    assert.equal(
      pages.refusal,
      'network back has no free address: 3 of 3 in 10.0.1.0/30 and 3 of 3 in 10.0.2.4/30 are taken',
    );
    assert.ok(pages.claim(NET, '10.0.2.2'), 'outside of the range, but of the subnet');
    assert.ok(!pages.claim(NET, '10.0.1.3'), 'somebody else has it');
    assert.ok(!pages.claim(NET, '10.0.3.2'));
    assert.equal(pages.refusal, 'address 10.0.3.2 is not in 10.0.1.0/29, 10.0.2.0/29 of network back');
    book.keep(pages);
    book.giveBack([{ networkId: NET, address: '10.0.1.2' }], 0);
    assert.equal(book.open(store.view(), 30_000).take([NET])?.[0]?.address, '10.0.1.2');
  });

  it('are not taken by a transaction that did not happen', async () => {
    const { view } = await world('10.0.1.0/24');
    const book = new AddressBook();
    const pages = book.open(view(), 0);
    assert.equal(pages.take([NET])?.[0]?.address, '10.0.1.3');
    assert.equal(book.open(view(), 0).take([NET])?.[0]?.address, '10.0.1.3');
    book.keep(pages);
    assert.equal(book.open(view(), 0).take([NET])?.[0]?.address, '10.0.1.4');
  });

  it('stay with who has them, and none is taken where one network is full', async () => {
    const { view } = await world('10.0.1.0/24');
    const pages = new AddressBook().open(view(), 0);
    assert.deepEqual(pages.take([NET], at('10.0.1.99')), at('10.0.1.99'));
    const unknown = anId('network', 9) as NetworkId;
    assert.equal(pages.take([NET, unknown]), undefined);
    assert.equal(pages.refusal, `network ${unknown} not found`);
    assert.equal(pages.take([NET])?.[0]?.address, '10.0.1.4');
  });
});

describe('the allocator', () => {
  const onNetwork = (mode: 'vip' | 'dnsrr') => ({
    task: aTaskSpec({ container: { image: 'good:1' }, networks: [{ target: NET, aliases: [] }] }),
    endpoint: { mode, ports: [] },
  });
  const start = async (subnet: string): Promise<ControlPlane> => {
    const plane = await ControlPlane.start({ nodes: 1 });
    await plane.store.update((tx) => tx.networks.put(aNetwork({ subnet })));
    return plane;
  };

  it('gives a service its virtual address and each task one of its own', async () => {
    await using plane = await start('10.0.1.0/24');
    const id = await plane.create({ ...onNetwork('vip'), mode: { kind: 'replicated', replicas: 2 } });
    await plane.until(() => plane.running(id).length === 2);
    assert.deepEqual(plane.service(id).virtualAddresses, at('10.0.1.2'));
    const addresses = plane.running(id).map((task) => task.attachments?.[0]?.address);
    assert.deepEqual(addresses.sort(), ['10.0.1.3', '10.0.1.4']);
  });

  it('gives none to a service whose name means its tasks', async () => {
    await using plane = await start('10.0.1.0/24');
    const id = await plane.create(onNetwork('dnsrr'));
    await plane.until(() => plane.running(id).length === 1);
    assert.deepEqual(plane.service(id).virtualAddresses ?? [], []);
  });

  it('lets tasks wait for an address with the reason, and go on when there is one', async () => {
    await using plane = await start('10.0.1.0/29');
    const id = await plane.create({ ...onNetwork('vip'), mode: { kind: 'replicated', replicas: 5 } });
    await plane.until(() => plane.running(id).length === 4);
    await plane.until(() => plane.tasks(id).some((task) => task.status.error !== undefined));
    const waiting = plane.tasks(id).find((task) => task.status.state === 'new');
    assert.match(waiting?.status.error ?? '', /^network back has no free address: 6 of 6 in 10\.0\.1\.0\/29 are taken/);
    await plane.scale(id, 4);
    await plane.scale(id, 5);
    await plane.until(() => plane.tasks(id).filter((task) => task.desired === 'running').length === 5);
    const other = await plane.create({ ...onNetwork('vip'), name: 'other' });
    await plane.remove(id);
    await plane.until(() => plane.running(other).length === 1);
  });
});
