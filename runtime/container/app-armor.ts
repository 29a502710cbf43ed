// AppArmor on this machine: whether it confines, and the engine's own profile, loaded where it is missing. What a container
// asks for is applied by the helper, in the process itself (native/app_armor.c).
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CodedError, errnoOf, fail } from '../../base/errors.ts';
import { DEFAULT_PROFILE, defaultProfileText } from './app-armor-profile.ts';

const PARSERS = ['sbin/apparmor_parser', 'usr/sbin/apparmor_parser'];
const LOAD_MS_MAX = 30_000;
const COMPLAINT_CHARACTERS_MAX = 2_000;

export const UNCONFINED = 'unconfined';

export interface AppArmorChoice {
  readonly asked: string; // '': nothing
  readonly privileged: boolean;
}

/** As Docker asks: the kernel's module, its interface, and the program that loads profiles. `root`: of the machine. */
export function whyNoAppArmor(root = '/', env: NodeJS.ProcessEnv = process.env): string | undefined {
  if (!textOf(join(root, 'sys/module/apparmor/parameters/enabled')).startsWith('Y'))
    return 'this kernel has no AppArmor';
  if (!existsSync(join(root, 'sys/kernel/security/apparmor'))) return 'the interface of AppArmor is not mounted';
  if (env['container']) return 'the daemon itself runs in a container';
  return parserOf(root) === undefined ? 'apparmor_parser is not installed' : undefined;
}

export class AppArmor {
  readonly #root: string;
  /** Why containers are not confined; undefined: they are. */
  readonly missing: string | undefined;
  #loading: Promise<void> | undefined;

  constructor(root = '/', env: NodeJS.ProcessEnv = process.env) {
    this.#root = root;
    this.missing = whyNoAppArmor(root, env);
  }

  /** As `docker inspect` shows it; '' where nothing is confined. */
  profileFor({ asked, privileged }: AppArmorChoice): string {
    if (this.missing !== undefined) return '';
    if (asked !== '') return asked;
    return privileged ? UNCONFINED : DEFAULT_PROFILE;
  }

  /** What Docker does not say: that a profile was asked for in vain. */
  warnings({ asked }: AppArmorChoice): string[] {
    if (this.missing === undefined || asked === '' || asked === UNCONFINED) return [];
    return [`AppArmor profile "${asked}" is not applied: ${this.missing}.`];
  }

  /**
   * The engine's own profile is in the kernel when this resolves, whoever loaded it: others' updates of AppArmor take away
   * what they do not know. Other profiles are their owners' to load.
   */
  async ensure(profile: string): Promise<void> {
    if (profile !== DEFAULT_PROFILE || this.missing !== undefined || (await this.#isLoaded())) return;
    this.#loading ??= this.#load().finally(() => (this.#loading = undefined));
    await this.#loading;
  }

  async #isLoaded(): Promise<boolean> {
    const profiles = await readFile(join(this.#root, 'sys/kernel/security/apparmor/profiles'), 'utf8');
    return profiles.split('\n').some((line) => line.startsWith(`${DEFAULT_PROFILE} `));
  }

  async #load(): Promise<void> {
    const parser = parserOf(this.#root) ?? fail('unavailable', 'apparmor_parser is not installed');
    try {
      await feed(parser, ['--replace', '--skip-cache'], defaultProfileText(ownProfile(this.#root)));
    } catch (cause) {
      const what = `AppArmor enabled on system but the ${DEFAULT_PROFILE} profile could not be loaded`;
      throw new CodedError('internal', what, { cause });
    }
  }
}

const parserOf = (root: string): string | undefined =>
  PARSERS.map((path) => join(root, path)).find((path) => existsSync(path));

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return '';
  }
}

/** "NAME (enforce)" or "unconfined". */
function ownProfile(root: string): string {
  const attributes = ['proc/self/attr/apparmor/current', 'proc/self/attr/current'];
  const text = attributes.map((path) => textOf(join(root, path))).find((found) => found !== '') ?? '';
  return text.replace(/ \([a-z]+\)\s*$/, '').trim() || UNCONFINED;
}

/** A program that reads `input`; rejects with its words. */
function feed(program: string, args: readonly string[], input: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['pipe', 'ignore', 'pipe'], timeout: LOAD_MS_MAX });
    let complaint = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (complaint.length < COMPLAINT_CHARACTERS_MAX) complaint += text;
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === 0) resolve();
      else reject(new CodedError('internal', complaint.trim() || `${program} ended with ${String(code ?? signal)}`));
    });
    child.stdin.on('error', () => undefined); // who does not read says why at its end
    child.stdin.end(input);
  });
}
