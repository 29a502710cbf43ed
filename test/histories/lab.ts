// Three real daemons in network namespaces of their own, and what can be done to them.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { removeCgroups } from '../../deploy/cgroups.ts';
import { unmountBelow } from '../../deploy/mounts.ts';
import { makeNetwork, removeNetwork, subnetsInUse } from '../../deploy/network.ts';
import { makeRunDirectory, startDaemon, stopNode } from '../../deploy/node.ts';
import { type ClusterPlan, freeSubnet, type NodePlan, planCluster } from '../../deploy/plan.ts';
import { run } from '../../deploy/shell.ts';
import { formSwarm } from '../../deploy/swarm.ts';

const CUT_TABLE = 'shoal_history_cut';

export class HistoryLab implements AsyncDisposable {
  readonly #plan: ClusterPlan;

  /** `program`: a checkout-like directory whose dist the daemons run from. */
  static async start(name: string, program: string): Promise<HistoryLab> {
    const subnet = freeSubnet(name, subnetsInUse());
    const directories = { runDirectory: `/run/${name}`, stateDirectory: `/var/lib/${name}-cluster` };
    const lab = new HistoryLab(planCluster({ name, nodeCount: 3, program, subnet, ...directories }));
    try {
      await makeNetwork(lab.#plan);
      makeRunDirectory(lab.#plan);
      mkdirSync(lab.#plan.stateDirectory, { recursive: true, mode: 0o700 });
      await Promise.all(lab.#plan.nodes.map((node) => startDaemon(lab.#plan, node)));
      await formSwarm(lab.#plan);
    } catch (error) {
      await lab[Symbol.asyncDispose]();
      throw error;
    }
    return lab;
  }

  private constructor(plan: ClusterPlan) {
    this.#plan = plan;
  }

  get sockets(): readonly string[] {
    return this.#plan.nodes.map(({ socket }) => socket);
  }

  kill(number: number): void {
    this.#signal(number, 'SIGKILL');
  }

  async restart(number: number): Promise<void> {
    await startDaemon(this.#plan, this.#node(number));
  }

  freeze(number: number): void {
    this.#signal(number, 'SIGSTOP');
  }

  thaw(number: number): void {
    this.#signal(number, 'SIGCONT');
  }

  /** The node's cable is pulled, or plugged in again. */
  async link(number: number, state: 'up' | 'down'): Promise<void> {
    await run('ip', ['-n', this.#plan.network.switchNamespace, 'link', 'set', this.#node(number).switchPort, state]);
  }

  /** The node hears nobody any more, but is heard. */
  async deafen(number: number): Promise<void> {
    const rules = `table inet ${CUT_TABLE} { chain in { type filter hook input priority -400; iifname eth0 drop; }; }`;
    await this.#inside(number, ['nft', rules]);
  }

  async undeafen(number: number): Promise<void> {
    await this.#inside(number, ['nft', `delete table inet ${CUT_TABLE}`]);
  }

  shiftClock(number: number, shiftMs: number): void {
    writeFileSync(join(this.#node(number).dataRoot, 'clock-shift'), String(shiftMs));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const plan = this.#plan;
    await Promise.all(plan.nodes.map((node) => stopNode(node)));
    await removeCgroups(`/${plan.name}`);
    for (const folder of [plan.runDirectory, plan.stateDirectory]) await unmountBelow(folder);
    await removeNetwork(plan);
    for (const folder of [plan.runDirectory, plan.stateDirectory]) rmSync(folder, { recursive: true, force: true });
  }

  async #inside(number: number, command: readonly string[]): Promise<void> {
    await run('nsenter', [`--net=/run/netns/${this.#node(number).namespace}`, ...command]);
  }

  #signal(number: number, signal: NodeJS.Signals): void {
    process.kill(Number(readFileSync(this.#node(number).pidFile, 'utf8')), signal);
  }

  #node(number: number): NodePlan {
    const node = this.#plan.nodes[number - 1];
    if (!node) throw new Error(`there is no node ${number}`);
    return node;
  }
}
