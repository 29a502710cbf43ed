// The demo: a static server compiled here into two visibly different images, and a stack of three replicas of it.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { pack } from 'tar-stream';
import { askEngine } from './engine.ts';
import type { ClusterPlan, NodePlan } from './plan.ts';
import { run } from './shell.ts';

export const DEMO_PORT = 8080;
const STACK = 'demo';
const SERVICE = `${STACK}_web`;
const VERSIONS = [
  { tag: 'v1', colour: '#0b7285' },
  { tag: 'v2', colour: '#a61e4d' },
] as const;
const HEALTHY_WITHIN_MS = 60_000;

/** One archive with both images. Every byte is fixed, so the ids are the same wherever it is made by one compiler. */
export async function buildDemoArchive(plan: ClusterPlan): Promise<Uint8Array> {
  const folder = join(plan.stateDirectory, 'demo');
  mkdirSync(folder, { recursive: true });
  const files = new Map<string, Uint8Array>();
  const manifest: unknown[] = [];
  for (const { tag, colour } of VERSIONS) {
    const binary = await compile(plan, folder, tag, colour);
    const layer = await tar([{ name: 'server', mode: 0o755, content: readFileSync(binary) }]);
    const config = Buffer.from(JSON.stringify(imageConfig(sha256(layer), tag)));
    files.set(`${sha256(layer)}/layer.tar`, layer).set(`${sha256(config)}.json`, config);
    manifest.push({
      Config: `${sha256(config)}.json`,
      RepoTags: [`shoal-demo:${tag}`],
      Layers: [`${sha256(layer)}/layer.tar`],
    });
  }
  files.set('manifest.json', Buffer.from(JSON.stringify(manifest)));
  return tar([...files].map(([name, content]) => ({ name, mode: 0o644, content })));
}

async function compile(plan: ClusterPlan, folder: string, tag: string, colour: string): Promise<string> {
  const binary = join(folder, `server-${tag}`);
  if (existsSync(binary)) return binary;
  const source = join(plan.program, 'deploy/demo/server.c');
  const defines = [`-DVERSION="${tag}"`, `-DCOLOUR="${colour}"`];
  await run('cc', ['-O2', '-static', '-s', ...defines, '-o', binary, source]);
  return binary;
}

function imageConfig(layerDigest: string, tag: string): unknown {
  return {
    architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
    os: 'linux',
    created: '1970-01-01T00:00:00Z',
    config: { Cmd: ['/server'], ExposedPorts: { '80/tcp': {} }, Labels: { 'shoal.demo': tag } },
    rootfs: { type: 'layers', diff_ids: [`sha256:${layerDigest}`] },
    history: [{ created: '1970-01-01T00:00:00Z', created_by: 'the demo server' }],
  };
}

async function tar(files: readonly { name: string; mode: number; content: Uint8Array }[]): Promise<Uint8Array> {
  const archive = pack();
  for (const { name, mode, content } of files) archive.entry({ name, mode, mtime: new Date(0) }, Buffer.from(content));
  archive.finalize();
  return buffer(archive);
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Puts the images on one node. */
export async function loadDemo(node: NodePlan, archive: Uint8Array): Promise<void> {
  await askEngine(node.socket, 'POST', '/images/load?quiet=1', { body: archive, timeoutMs: 60_000 });
}

/** Deploys the stack unless it is there, with our own client or the stock one. */
export async function deployDemo(plan: ClusterPlan, node: NodePlan): Promise<void> {
  if (await demoExists(node)) return;
  const stack = join(plan.program, 'deploy/demo/stack.yaml');
  const client = ownClient(plan);
  const words = ['-H', `unix://${node.socket}`, 'stack', 'deploy', '--detach=true', '-c', stack, STACK];
  if (client) await run(process.execPath, [client, ...words]);
  else await run('docker', words);
}

async function demoExists(node: NodePlan): Promise<boolean> {
  const services = (await askEngine(node.socket, 'GET', '/services')) as { Spec: { Name: string } }[];
  return services.some((service) => service.Spec.Name === SERVICE);
}

function ownClient(plan: ClusterPlan): string | undefined {
  const path = join(plan.program, 'dist/cli/main.js');
  return existsSync(path) ? path : undefined;
}

interface TaskJson {
  readonly Status: { readonly State: string; readonly Err?: string };
}

/** Resolves when every wanted replica runs and is healthy. The API has no event for that, so this asks every 50 ms. */
export async function demoHealthy(node: NodePlan): Promise<void> {
  const filters = encodeURIComponent(JSON.stringify({ service: [SERVICE], 'desired-state': ['running'] }));
  const deadline = performance.now() + HEALTHY_WITHIN_MS;
  for (;;) {
    const tasks = (await askEngine(node.socket, 'GET', `/tasks?filters=${filters}`)) as TaskJson[];
    if (tasks.length > 0 && tasks.every((task) => task.Status.State === 'running')) return;
    if (performance.now() > deadline) {
      const states = tasks.map(({ Status }) => `${Status.State}${Status.Err ? ` (${Status.Err})` : ''}`).join(', ');
      throw new Error(`the demo is not healthy after ${HEALTHY_WITHIN_MS / 1000} s: ${states || 'no tasks'}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
