import assert from 'node:assert/strict';
import { type Random, seededRandom } from '../../base/random.ts';
import type { Endpoint, IngressPort } from '../../runtime/network/contract.ts';
import type { MachineNetworks } from '../../runtime/network/networks.ts';
import { joinContainer, NetworkLab, publish } from '../support/network-lab.ts';
import { requireRoot } from '../support/requirements.ts';

const STEPS = 120;

function pick<T>(random: Random, from: readonly T[]): T | undefined {
  return from[random.below(Math.max(1, from.length))];
}

/** One random thing that a machine's day consists of. */
async function step(random: Random, index: number, networks: MachineNetworks, joined: Endpoint[]): Promise<void> {
  const names = networks
    .list()
    .filter((network) => network.driver === 'bridge')
    .map((network) => network.name);
  switch (random.below(6)) {
    case 0:
    case 1: {
      const ports = random.below(2) === 0 ? [publish(0, 80), publish(0, 53, { protocol: 'udp' })] : [];
      joined.push(await joinContainer(networks, { network: pick(random, names) ?? 'bridge', publish: ports }));
      return;
    }
    case 2: {
      const [gone] = joined.splice(random.below(Math.max(1, joined.length)), 1);
      if (gone) await networks.leave(gone);
      return;
    }
    case 3:
      return await networks.applyIngress(index, randomIngress(random, joined));
    case 4:
      if (names.length < 5) await networks.create({ ...plain, name: `own${index}` });
      return;
    case 5: {
      const name = names.find((candidate) => networks.get(candidate).endpoints.length === 0 && candidate !== 'bridge');
      if (name) await networks.remove(name);
      return;
    }
  }
}

const plain = { driver: 'bridge', labels: {}, options: {}, internal: false, attachable: false };

function randomIngress(random: Random, joined: readonly Endpoint[]): IngressPort[] {
  return Array.from({ length: random.below(4) }, (_, index) => ({
    protocol: random.below(2) === 0 ? 'tcp' : 'udp',
    publishedPort: 8000 + index,
    local: joined
      .filter(() => random.below(2) === 0)
      .map(({ address, containerId }) => ({ taskId: containerId, address, port: 80 })),
    remote: Array.from({ length: random.below(3) }, (_entry, node) => ({
      address: `192.0.2.${200 + node}`,
      port: 8000 + index,
    })),
  }));
}

describe('many changes', function () {
  this.timeout(90_000);
  before(function () {
    requireRoot(this);
  });

  for (const seed of [1, 2]) {
    it(`leave the kernel with exactly what is wanted after each (seed ${seed})`, async () => {
      await using lab = await NetworkLab.open();
      const machine = await lab.machine();
      const networks = await machine.networks();
      await networks.adopt([]);
      const random = seededRandom(seed);
      const joined: Endpoint[] = [];
      for (let index = 1; index <= STEPS; index++) {
        await step(random, index, networks, joined);
        assert.deepEqual(await networks.audit(), { repairs: [], failures: [] }, `after step ${index}`);
      }
      const addresses = joined.map((endpoint) => `${endpoint.networkId}/${endpoint.address}`);
      assert.equal(new Set(addresses).size, joined.length);
      assert.ok(joined.length > 3);
    });
  }
});
