// AppArmor, where the machine may have none: a folder stands for one that has, a script for the program that loads profiles.
import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AppArmor, whyNoAppArmor } from '../../runtime/container/app-armor.ts';
import { defaultProfileText } from '../../runtime/container/app-armor-profile.ts';
import { aConfig, machine } from './support.ts';

const PARSER = '/sbin/apparmor_parser';
const LOADS = 'cat > "$ROOT/loaded"; echo "docker-default (enforce)" >> "$ROOT/sys/kernel/security/apparmor/profiles"';

class Confining implements Disposable {
  readonly root = mkdtempSync(join(tmpdir(), 'shoal-app-armor-'));
  readonly #profiles = join(this.root, 'sys/kernel/security/apparmor/profiles');

  constructor(script = LOADS) {
    for (const folder of ['sys/module/apparmor/parameters', 'sys/kernel/security/apparmor', 'sbin', 'proc/self/attr'])
      mkdirSync(join(this.root, folder), { recursive: true });
    writeFileSync(join(this.root, 'sys/module/apparmor/parameters/enabled'), 'Y\n');
    writeFileSync(join(this.root, 'proc/self/attr/current'), 'shoald (enforce)\n');
    writeFileSync(this.#profiles, 'mine (enforce)\n');
    const text = `#!/bin/sh\nROOT=${this.root}\necho "$@" >> "$ROOT/calls"\n${script}\n`;
    writeFileSync(join(this.root, 'sbin/apparmor_parser'), text, { mode: 0o755 });
  }
  read(name: string): string {
    const path = join(this.root, name);
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  }
  calls = (): number => this.read('calls').split('\n').length - 1;
  remove = (path: string): void => rmSync(join(this.root, path), { recursive: true });
  unload = (): void => writeFileSync(this.#profiles, '');
  get appArmor(): AppArmor {
    return new AppArmor(this.root, {});
  }
  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true });
  }
}

describe('AppArmor', () => {
  for (const [path, reason] of [
    ['sys/module', /kernel has no AppArmor/],
    ['sys/kernel/security/apparmor', /not mounted/],
    ['sbin/apparmor_parser', /apparmor_parser is not installed/],
  ] as const) {
    it(`confines nobody without ${path}`, () => {
      using machine = new Confining();
      assert.equal(whyNoAppArmor(machine.root, {}), undefined);
      machine.remove(path);
      assert.match(whyNoAppArmor(machine.root, {}) ?? '', reason);
    });
  }

  it('confines nobody where it is switched off, or the daemon is in a container', () => {
    using machine = new Confining();
    assert.match(whyNoAppArmor(machine.root, { container: 'lxc' }) ?? '', /in a container/);
    writeFileSync(join(machine.root, 'sys/module/apparmor/parameters/enabled'), 'N\n');
    assert.match(whyNoAppArmor(machine.root, {}) ?? '', /no AppArmor/);
  });

  it('gives the engine’s profile, the one asked for, or none to the privileged', () => {
    using machine = new Confining();
    const of = (asked: string, privileged: boolean): string => machine.appArmor.profileFor({ asked, privileged });
    assert.deepEqual(
      [of('', false), of('', true), of('mine', true), of('unconfined', false)],
      ['docker-default', 'unconfined', 'mine', 'unconfined'],
    );
  });

  it('has the profile loaded where it is missing, once for all who ask, and again when it was taken away', async () => {
    using machine = new Confining();
    const { appArmor } = machine;
    await appArmor.ensure('mine');
    assert.equal(machine.calls(), 0);
    await Promise.all([appArmor.ensure('docker-default'), appArmor.ensure('docker-default')]);
    await appArmor.ensure('docker-default');
    assert.equal(machine.calls(), 1);
    assert.equal(machine.read('loaded'), defaultProfileText('shoald'));
    machine.unload();
    await appArmor.ensure('docker-default');
    assert.equal(machine.calls(), 2);
  });

  it('says what the loading program says', async () => {
    using machine = new Confining('echo "no such thing" >&2; exit 3');
    await assert.rejects(
      machine.appArmor.ensure('docker-default'),
      (error: Error) =>
        /docker-default profile could not be loaded/.test(error.message) && /no such thing/.test(String(error.cause)),
    );
  });
});

describe('the profile of containers that ask for no other', () => {
  it('denies what Docker’s denies, by the rules that the loading program makes of it', function () {
    if (!existsSync(PARSER)) return this.skip();
    this.timeout(20_000);
    const options = ['--skip-kernel-load', '--skip-cache', '--dump', 'rule-exprs'];
    const input = defaultProfileText('my "odd" daemon');
    const dump = execFileSync('sh', ['-c', `exec ${PARSER} ${options.join(' ')} 2>&1`], { input, encoding: 'utf8' });
    const rules = dump
      .split('\n')
      .flatMap((line) => /^rule: \S+ {2}-> {2}(\/\S*) deny \(0x([0-9a-f]+)/.exec(line)?.slice(1, 3) ?? []);
    const denials = rules.flatMap((text, index) => {
      if (index % 2 === 1 || text.endsWith('\\x0/[^/](.)*')) return []; // of pairs: what a link is made to
      const kernel = text.replaceAll('\\x0', '\\x00').replaceAll(/[^\\[]\[\]/g, '');
      return [{ path: new RegExp(`^${kernel}$`), mask: Number.parseInt(rules[index + 1] ?? '', 16) }];
    });
    const denied = (path: string, bit: number): boolean =>
      denials.some((rule) => rule.path.test(path) && (rule.mask & bit) !== 0);
    const [WRITE, READ] = [2, 4];
    for (const path of [
      '/proc/sysrq-trigger',
      '/proc/acpi/wakeup',
      '/proc/sys/net/ipv4/ip_forward',
      '/proc/sys/kernel/core_pattern',
      '/proc/sys/kernel/keys/maxkeys',
      '/proc/sys/kernel/shell',
      '/proc/irq/1/smp_affinity',
      '/sys/kernel/uevent_helper',
      '/sys/fs/bpf/x',
      '/sys/class/net/eth0/mtu',
      '/sys/firmware/efi/vars',
    ])
      assert.ok(denied(path, WRITE), path);
    for (const path of [
      '/proc/1/oom_score_adj',
      '/proc/423/attr/exec',
      '/proc/sys/kernel/shmmax',
      '/sys/fs/cgroup/x/y',
      '/etc/x',
    ])
      assert.ok(!denied(path, WRITE), path);
    for (const path of ['/proc/kcore', '/sys/firmware/acpi/tables/DSDT', '/sys/devices/virtual/powercap/x/energy_uj'])
      assert.ok(denied(path, READ), path);
    assert.ok(!denied('/proc/sys/kernel/core_pattern', READ));
  });
});

describe('containers on a machine with AppArmor', () => {
  it('have their command, execs and probes confined by the profile that inspect shows', async () => {
    using confining = new Confining();
    await using node = await machine({ appArmor: confining.appArmor });
    const created = await node.store.create(aConfig({ securityOptions: ['apparmor=mine'] }));
    assert.deepEqual(created.warnings, []);
    await node.store.start(created.id);
    assert.equal(node.store.get(created.id).appArmorProfile, 'mine');
    assert.equal(node.native.last.request?.process.appArmorProfile, 'mine');
    assert.equal(confining.calls(), 0);
  });

  it('get the engine’s profile, which is loaded before they start', async () => {
    using confining = new Confining();
    await using node = await machine({ appArmor: confining.appArmor });
    const { id } = await node.store.create(aConfig({}));
    node.native.onLaunch = () => assert.equal(confining.calls(), 1);
    await node.store.start(id);
    assert.equal(node.native.last.request?.process.appArmorProfile, 'docker-default');
  });

  it('are left alone when they are unconfined or privileged', async () => {
    using confining = new Confining();
    await using node = await machine({ appArmor: confining.appArmor });
    for (const change of [{ securityOptions: ['apparmor=unconfined'] }, { privileged: true }]) {
      const { id } = await node.store.create(aConfig(change));
      await node.store.start(id);
      assert.equal(node.store.get(id).appArmorProfile, 'unconfined');
      assert.equal(node.native.last.request?.process.appArmorProfile, undefined);
    }
    assert.equal(confining.calls(), 0);
  });
});

describe('containers on a machine without AppArmor', () => {
  it('start as on Docker, but not without a word when a profile was asked for', async () => {
    await using node = await machine();
    const asking = await node.store.create(aConfig({ securityOptions: ['apparmor=mine'] }));
    assert.deepEqual(asking.warnings, ['AppArmor profile "mine" is not applied: this kernel has no AppArmor.']);
    await node.store.start(asking.id);
    assert.equal(node.store.get(asking.id).appArmorProfile, '');
    assert.equal(node.native.last.request?.process.appArmorProfile, undefined);
    const unconfined = await node.store.create(aConfig({ securityOptions: ['apparmor=unconfined'] }));
    assert.deepEqual(unconfined.warnings, []);
  });
});
