// A cluster on one machine: what `npm start` and `npm stop` run, from the copy of the program in the state directory.
import { existsSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import process from 'node:process';
import { readClusterFile, writeClusterFile } from './cluster-file.ts';
import { buildDemoArchive, DEMO_PORT, demoHealthy, deployDemo, loadDemo } from './demo.ts';
import { askEngine } from './engine.ts';
import { removeCgroups } from './cgroups.ts';
import { unmountBelow } from './mounts.ts';
import { buildHelper, hasHelper } from './helper.ts';
import { makeNetwork, removeNetwork, subnetsInUse } from './network.ts';
import { isUp, makeRunDirectory, startDaemon, stopNode } from './node.ts';
import { type Options, parseOptions } from './options.ts';
import { type ClusterPlan, freeSubnet, type NodePlan, planCluster } from './plan.ts';
import { attempt } from './shell.ts';
import { step } from './steps.ts';
import { formSwarm } from './swarm.ts';

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options.command === 'stop') return await stop(options);
  const stopRequested = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
  const started = start(options);
  const cut = await Promise.race([started.then(() => false), stopRequested.then(() => true)]);
  if (!cut && options.detach) return;
  if (!cut) {
    console.log('\nCtrl-C stops the cluster.');
    await stopRequested;
  } else {
    await started.catch(() => undefined); // its error was caused by, or does not matter after, the interrupt
  }
  console.log('');
  await stop(options);
}

async function start(options: Options): Promise<void> {
  const plan = settledPlan(options);
  await step('network', () => makeNetwork(plan));
  makeRunDirectory(plan);
  const archive = options.demo ? buildDemoArchive(plan) : undefined;
  if (!hasHelper(plan)) await step('container helper', () => buildHelper(plan));
  await step(`${plan.nodes.length} ${plan.nodes.length === 1 ? 'node' : 'nodes'}`, () => startNodes(plan));
  await step('swarm', () => formSwarm(plan));
  const first = plan.nodes[0] as NodePlan;
  if (archive) {
    await step('demo images', async () => {
      const bytes = await archive;
      await Promise.all(plan.nodes.map((node) => loadDemo(node, bytes)));
    });
    await step('demo stack', () => deployDemo(plan, first));
    await step('demo healthy', () => demoHealthy(first));
  }
  await printSummary(plan, options.demo);
}

/** A cluster that exists keeps its subnet and has at least its nodes; a new one gets a free subnet. */
function settledPlan(options: Options): ClusterPlan {
  const known = readClusterFile(options.stateDirectory);
  if (known && known.runDirectory !== options.runDirectory) {
    throw new Error(`cluster ${options.name} runs with --run-dir ${known.runDirectory}; stop it first`);
  }
  const nodeCount = Math.max(known?.nodeCount ?? 0, options.nodeCount);
  const subnet = known?.subnet ?? freeSubnet(options.name, subnetsInUse());
  writeClusterFile(options.stateDirectory, { nodeCount, subnet, runDirectory: options.runDirectory });
  return planCluster({ ...options, nodeCount, subnet });
}

async function startNodes(plan: ClusterPlan): Promise<void> {
  await Promise.all(
    plan.nodes.map(async (node) => {
      if (!(await isUp(node))) await startDaemon(plan, node);
    }),
  );
}

async function printSummary(plan: ClusterPlan, demo: boolean): Promise<void> {
  const first = plan.nodes[0] as NodePlan;
  const lines = ['', 'Sockets', ...plan.nodes.map((node) => `  ${node.socket}`)];
  if (demo) lines.push('Demo', ...plan.nodes.map((node) => `  http://${node.address}:${DEMO_PORT}/`));
  lines.push(
    'Dashboard',
    `  ${await dashboardLink(first)}`,
    'Try',
    ...(await commandsToTry(first, demo)).map((text) => `  ${text}`),
  );
  console.log(lines.join('\n'));
}

async function dashboardLink(node: NodePlan): Promise<string> {
  try {
    const reply = (await askEngine(node.socket, 'POST', '/shoal/dashboard/links')) as { URL: string };
    return reply.URL;
  } catch (error) {
    return `not available: ${error instanceof Error ? error.message : String(error)}`;
  }
}

async function commandsToTry(node: NodePlan, demo: boolean): Promise<string[]> {
  const hasDocker = (await attempt('sh', ['-c', 'command -v docker'])).code === 0;
  const client = hasDocker ? `docker -H unix://${node.socket}` : `shoal -H unix://${node.socket}`;
  if (!demo)
    return ['node ls', 'service ls', 'ps', 'service create --name NAME IMAGE'].map((words) => `${client} ${words}`);
  return [
    `${client} service ls`,
    `${client} service scale demo_web=6`,
    `${client} service update --image shoal-demo:v2 demo_web`,
    `${client} service ps demo_web`,
  ];
}

async function stop(options: Options): Promise<void> {
  const known = readClusterFile(options.stateDirectory);
  const plan = planCluster({
    ...options,
    nodeCount: known?.nodeCount ?? options.nodeCount,
    subnet: known?.subnet ?? 1,
    runDirectory: known?.runDirectory ?? options.runDirectory,
  });
  await step('stopping', async () => {
    await Promise.all(plan.nodes.map((node) => stopNode(node)));
    await removeCgroups(`/${plan.name}`);
    for (const folder of [plan.runDirectory, plan.stateDirectory]) await unmountBelow(folder);
    await removeNetwork(plan);
    for (const node of plan.nodes) rmSync(node.execRoot, { recursive: true, force: true });
    if (existsSync(plan.runDirectory) && readdirSync(plan.runDirectory).length === 0) rmdirSync(plan.runDirectory);
    if (!options.keepState) rmSync(plan.stateDirectory, { recursive: true, force: true });
  });
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
