// What a node keeps of its swarm on disk: who it is, where it listens, its certificate. Present means: part of a swarm.
// The folder is written whole before it counts: `node.json` comes last. The private key is sealed with a key of the node.
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, fail } from '../base/errors.ts';
import { writeFileAtomic } from '../base/files.ts';
import { asArray, asInteger, asObject, asString, parseJson } from '../base/parse.ts';
import { Mutex } from '../base/mutex.ts';
import type { Random } from '../base/random.ts';
import { openBox, parseSealedBox, sealBox, secretId } from '../base/sealed-box.ts';
import type { CertificateMaterial } from '../proto/identity.ts';
import type { ManagerAddresses } from '../proto/objects.ts';
import { parseUnlockKey } from '../proto/unlock-key.ts';
import { swarmFolder } from './data-root.ts';
import { newNodeKey, type NodeKeySet, readNodeKeys, unlockNodeKeys, writeNodeKeys } from './node-keys.ts';

export interface SwarmState {
  readonly listen: { readonly join: string; readonly control: string; readonly raft: string };
  readonly advertise: ManagerAddresses;
  /** Where other nodes send connections for this one's tasks; '': as the managers see this node. */
  readonly dataAddress: string;
  readonly dataPort: number;
  /** Control addresses that were known when the node joined. */
  readonly managers: readonly string[];
}

/** 2: the private key is sealed with a key of the node. */
const FORMAT = 2;
const FOLDER_MODE = 0o700;
const KEY_PURPOSE = 'private key of the node';

export type LoadedSwarm =
  | { readonly kind: 'open'; readonly state: SwarmState; readonly material: CertificateMaterial }
  /** Nothing of it can be used before `unlock`. */
  | { readonly kind: 'locked'; readonly state: SwarmState };

/** Writes again what is sealed with a key of the node that is being replaced. */
type Rekey = (how: { nodeKeys: NodeKeySet; rotate: boolean }) => Promise<void>;

export class SwarmFiles {
  readonly #directory: string;
  readonly #random: Random;
  readonly #turn = new Mutex();
  #keys: NodeKeySet | undefined;
  /** '' while the node does not lock itself. */
  #unlockKey = '';

  constructor(dataRoot: string, random: Random) {
    this.#directory = swarmFolder(dataRoot);
    this.#random = random;
  }

  get raftDirectory(): string {
    return join(this.#directory, 'raft');
  }

  get agentDirectory(): string {
    return join(this.#directory, 'agent');
  }

  /** What the manager's log keeps its data key sealed with. */
  get nodeKeys(): NodeKeySet {
    return this.#keys ?? fail('internal', 'the keys of the node are not known yet');
  }

  /** Undefined when this node is in no swarm; what an interrupted join left is removed then. A newer format is refused. */
  async load(): Promise<LoadedSwarm | undefined> {
    if (!existsSync(this.#path('node.json'))) {
      await this.erase();
      return undefined;
    }
    const format = Number(await readFile(this.#path('format'), 'utf8'));
    if (!(format >= 1 && format <= FORMAT)) {
      fail('conflict', `${this.#directory} has format ${format} and this Shoal reads format ${FORMAT}`);
    }
    const state = parseState(await this.#read('node.json'));
    const stored = await readNodeKeys(this.#path('node-key'));
    if (stored?.kind === 'locked') return { kind: 'locked', state };
    if (stored) this.#keys = stored.keys;
    const material = await this.#readMaterial();
    if (!stored) await this.#sealFirst(material);
    return { kind: 'open', state, material };
  }

  /** `forbidden`: it is not the key. */
  async unlock(unlockKey: string): Promise<CertificateMaterial> {
    const stored = await readNodeKeys(this.#path('node-key'));
    if (stored?.kind !== 'locked') return fail('conflict', 'the node is not locked');
    this.#keys = unlockNodeKeys(stored.boxes, parseUnlockKey(unlockKey));
    this.#unlockKey = unlockKey.trim();
    return await this.#readMaterial();
  }

  /** `prepare` fills the folders of the parts; nothing counts before it is done. */
  async create(
    state: SwarmState,
    material: CertificateMaterial,
    { unlockKey = '', prepare }: { unlockKey?: string | undefined; prepare?: (() => Promise<void>) | undefined } = {},
  ): Promise<void> {
    for (const folder of [this.#directory, this.agentDirectory, this.raftDirectory]) {
      await mkdir(folder, { recursive: true, mode: FOLDER_MODE });
    }
    this.#unlockKey = unlockKey;
    await this.#sealFirst(material);
    await prepare?.();
    await this.saveState(state);
  }

  async saveState(state: SwarmState): Promise<void> {
    await writeFileAtomic(this.#path('node.json'), JSON.stringify(state));
  }

  /** As it is on disk, on a node that is open. */
  material(): Promise<CertificateMaterial> {
    return this.#readMaterial();
  }

  saveMaterial(material: CertificateMaterial): Promise<void> {
    return this.#turn.run(() => this.#saveMaterial(material));
  }

  /**
   * Locks with this key from now on; '' opens. Who had the former key, or the disk while it was open, knew the keys of the
   * node: with another key to lock with they are replaced, and so is all that was sealed with them. A crash in between
   * leaves both keys of the node, and the next call goes on.
   */
  lock(unlockKey: string, rekey: Rekey): Promise<void> {
    return this.#turn.run(async () => {
      const isOther = unlockKey !== this.#unlockKey;
      const isUnfinished = this.nodeKeys.length > 1;
      if (!isOther && !isUnfinished) return;
      const isLocking = isOther && unlockKey !== '';
      const keys: NodeKeySet = isLocking ? [newNodeKey(this.#random), ...this.nodeKeys] : this.nodeKeys;
      await this.#saveKeys(keys, unlockKey);
      if (keys.length === 1) return;
      await rekey({ nodeKeys: keys, rotate: true });
      await this.#saveMaterial(await this.#readMaterial());
      await this.#saveKeys([keys[0]], unlockKey);
    });
  }

  /** A node that is no manager does not lock itself. */
  async open(): Promise<void> {
    await this.#turn.run(() => this.#saveKeys(this.nodeKeys, ''));
  }

  async erase(): Promise<void> {
    // First what makes it count, so that an interrupted removal is finished by the next start.
    await rm(this.#path('node.json'), { force: true });
    await rm(this.#directory, { recursive: true, force: true });
    this.#keys = undefined;
    this.#unlockKey = '';
  }

  async #sealFirst(material: CertificateMaterial): Promise<void> {
    await writeFileAtomic(this.#path('format'), `${FORMAT}\n`);
    await this.#saveKeys([newNodeKey(this.#random)], this.#unlockKey);
    await this.#saveMaterial(material);
  }

  async #saveKeys(keys: NodeKeySet, unlockKey: string): Promise<void> {
    await writeNodeKeys(this.#path('node-key'), keys, {
      unlockKey: unlockKey === '' ? undefined : parseUnlockKey(unlockKey),
      random: this.#random,
    });
    this.#keys = keys;
    this.#unlockKey = unlockKey;
  }

  async #saveMaterial({ keyPem, ...open }: CertificateMaterial): Promise<void> {
    const key = sealBox(this.nodeKeys[0], KEY_PURPOSE, Buffer.from(keyPem), this.#random);
    await writeFileAtomic(this.#path('certificate.json'), JSON.stringify({ ...open, key }));
  }

  async #readMaterial(): Promise<CertificateMaterial> {
    const json = asObject(await this.#read('certificate.json'), 'certificate.json');
    const isOpen = json['keyPem'] !== undefined; // as the first format had it
    const material = {
      certificatePem: asString(json['certificatePem'], 'certificatePem'),
      keyPem: isOpen ? asString(json['keyPem'], 'keyPem') : this.#openKey(json['key']),
      rootsPem: asArray(json['rootsPem'], 'rootsPem', asString),
    };
    if (isOpen && this.#keys) await this.#saveMaterial(material);
    return material;
  }

  #openKey(value: unknown): string {
    const box = parseSealedBox(value, 'key');
    const nodeKey =
      this.nodeKeys.find((key) => secretId(key) === box.by) ??
      fail('internal', `${this.#path('certificate.json')} is sealed with another key than the node's`);
    return openBox(nodeKey, KEY_PURPOSE, box).toString('utf8');
  }

  #path(name: string): string {
    return join(this.#directory, name);
  }

  async #read(name: string): Promise<unknown> {
    try {
      return parseJson(await readFile(this.#path(name), 'utf8'), name);
    } catch (cause) {
      const what = errnoOf(cause) === 'ENOENT' ? 'is missing' : 'can not be read';
      return fail('internal', `${this.#path(name)} ${what}`, { cause });
    }
  }
}

function parseState(value: unknown): SwarmState {
  const json = asObject(value, 'node.json');
  const [listen, advertise] = [asObject(json['listen'], 'listen'), asObject(json['advertise'], 'advertise')];
  return {
    listen: {
      join: asString(listen['join'], 'listen.join'),
      control: asString(listen['control'], 'listen.control'),
      raft: asString(listen['raft'], 'listen.raft'),
    },
    advertise: {
      joinAddress: asString(advertise['joinAddress'], 'advertise.joinAddress'),
      controlAddress: asString(advertise['controlAddress'], 'advertise.controlAddress'),
      raftAddress: asString(advertise['raftAddress'], 'advertise.raftAddress'),
    },
    dataAddress: asString(json['dataAddress'], 'dataAddress'),
    dataPort: asInteger(json['dataPort'], 'dataPort', { min: 0, max: 65_535 }),
    managers: asArray(json['managers'], 'managers', asString),
  };
}
