// Machines on a network between nodes, wired as a swarm wires them but without one: who is where is handed in.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import type { Endpoint, OverlayNetwork, OverlayState } from '../../runtime/network/contract.ts';
import type { MachineNetworks } from '../../runtime/network/networks.ts';
import type { NetworksOptions } from '../../runtime/network/networks-options.ts';
import { joinContainer, type LabMachine, NetworkLab } from './network-lab.ts';

export const NETWORK: OverlayNetwork = {
  id: 'net0000000000000000000001',
  name: 'back',
  vni: 4242,
  port: 0,
  subnet: '10.0.9.0/24',
  gateway: '10.0.9.1',
  internal: false,
  attachable: false,
  options: {},
};

export interface Place {
  readonly address: string;
  readonly on: number;
  readonly lost?: boolean;
}

export class OverlayLab implements AsyncDisposable {
  readonly lab: NetworkLab;
  readonly machines: LabMachine[] = [];
  readonly networks: MachineNetworks[] = [];
  #index = 0;

  constructor(lab: NetworkLab) {
    this.lab = lab;
  }

  /** `prepare` has each machine before anything of ours is on it. */
  static async open(
    machines: number,
    options: { prepare?: (machine: LabMachine) => Promise<unknown>; networks?: Partial<NetworksOptions> } = {},
  ): Promise<OverlayLab> {
    const swarm = new OverlayLab(await NetworkLab.open());
    for (let count = 0; count < machines; count += 1) {
      const machine = await swarm.lab.machine();
      await options.prepare?.(machine);
      swarm.machines.push(machine);
      swarm.networks.push(await machine.networks(options.networks));
    }
    return swarm;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.lab[Symbol.asyncDispose]();
  }

  /** What is said of the network beside its usual form. */
  more: Partial<OverlayNetwork> = {};

  stateFor(machine: number, places: readonly Place[], services: OverlayState['services'] = []): OverlayState {
    const endpoints = places.map(({ address, on, lost = false }) => ({
      address,
      lost,
      ...(on === machine ? {} : { node: { id: `node${on}`, address: this.machines[on]?.address ?? '', port: 4789 } }),
    }));
    return { network: { ...NETWORK, ...this.more }, endpoints, services, names: [] };
  }

  async tell(places: readonly Place[], services: OverlayState['services'] = []): Promise<void> {
    this.#index += 1;
    await Promise.all(
      this.networks.map((networks, at) => networks.overlays.apply(this.#index, this.stateFor(at, places, services))),
    );
  }

  /** A container as a task has one: leads outside by its node's bridge, and is on the network. */
  async container(machine: number, address: string): Promise<Endpoint> {
    const networks = this.networks[machine] ?? assert.fail('no such machine');
    const { sandboxPath } = await joinContainer(networks);
    return await joinContainer(networks, { network: NETWORK.id, sandboxPath, address });
  }

  /** A command in the sandbox of the network on a machine. */
  inside(machine: number, ...command: string[]): string {
    const path = `${this.lab.execRoot(this.machines[machine] ?? assert.fail('no such machine'))}/overlay/${NETWORK.id}`;
    return execFileSync('nsenter', [`--net=${path}`, ...command], { encoding: 'utf8', stdio: 'pipe' });
  }
}
