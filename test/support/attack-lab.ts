// What the tests of past escapes share: an engine with a stock client, a folder of the host that nobody may touch, and
// archives as an attacker would write them.
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TAR_END, type TarEntry, tarHeader, tarPadding } from '../../runtime/image/tar-writer.ts';
import { ClientLab } from './client-lab.ts';
import { requireRoot, requireTool } from './requirements.ts';

const CANARY = 'host canary';

export class AttackLab implements AsyncDisposable {
  readonly client: ClientLab;
  /** A folder outside of every container, with one file, `canary`. */
  readonly outside: string;

  private constructor(client: ClientLab, outside: string) {
    this.client = client;
    this.outside = outside;
  }

  static async open(): Promise<AttackLab> {
    const client = await ClientLab.open();
    const outside = join(client.lab.root, 'outside');
    mkdirSync(outside);
    writeFileSync(join(outside, 'canary'), CANARY, { mode: 0o600 });
    return new AttackLab(client, outside);
  }

  /** An image of nothing but these entries. */
  async image(name: string, ...entries: readonly Buffer[]): Promise<void> {
    const imported = await this.client.client.run(['import', '-', name], archive(...entries));
    assert.equal(imported.code, 0, imported.stderr);
  }

  assertUntouched(): void {
    assert.deepEqual(readdirSync(this.outside), ['canary']);
    assert.equal(readFileSync(join(this.outside, 'canary'), 'utf8'), CANARY);
    assert.equal(statSync(join(this.outside, 'canary')).mode & 0o777, 0o600);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client[Symbol.asyncDispose]();
  }
}

/** To be called inside a suite: one lab, handed over before its tests, whose containers go after each. */
export function attackSuite(suite: Mocha.Suite, take: (lab: AttackLab) => void): void {
  let lab: AttackLab | undefined;
  suite.timeout(60_000);
  before(async function () {
    requireRoot(this);
    requireTool(this, '/usr/bin/busybox');
    this.timeout(120_000);
    lab = await AttackLab.open();
    take(lab);
  });
  afterEach(async () => lab?.client.removeAll());
  after(async () => lab?.[Symbol.asyncDispose]());
}

export function entry(fields: Partial<TarEntry> & { name: string }, content = ''): Buffer {
  const header = tarHeader({ type: 'file', mode: 0o644, sizeBytes: content.length, ...fields });
  return Buffer.concat([header, Buffer.from(content), tarPadding(content.length)]);
}

export const archive = (...entries: readonly Buffer[]): Buffer => Buffer.concat([...entries, TAR_END]);
