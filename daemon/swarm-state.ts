// What a node keeps of its swarm on disk: who it is, where it listens, its certificate. Present means: part of a swarm.
// The folder is written whole before it counts: `node.json` comes last.
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, fail } from '../base/errors.ts';
import { writeFileAtomic } from '../base/files.ts';
import { asArray, asInteger, asObject, asString, parseJson } from '../base/parse.ts';
import type { CertificateMaterial } from '../proto/identity.ts';
import type { ManagerAddresses } from '../proto/objects.ts';

export interface SwarmState {
  readonly listen: { readonly join: string; readonly control: string; readonly raft: string };
  readonly advertise: ManagerAddresses;
  /** Where other nodes send connections for this one's tasks; '': as the managers see this node. */
  readonly dataAddress: string;
  readonly dataPort: number;
  /** Control addresses that were known when the node joined. */
  readonly managers: readonly string[];
}

const FORMAT = 1;
const FOLDER_MODE = 0o700;

export class SwarmFiles {
  readonly #directory: string;

  constructor(dataRoot: string) {
    this.#directory = join(dataRoot, 'swarm');
  }

  get raftDirectory(): string {
    return join(this.#directory, 'raft');
  }

  get agentDirectory(): string {
    return join(this.#directory, 'agent');
  }

  /** Undefined when this node is in no swarm; what an interrupted join left is removed then. A newer format is refused. */
  async load(): Promise<{ state: SwarmState; material: CertificateMaterial } | undefined> {
    if (!existsSync(this.#path('node.json'))) {
      await this.erase();
      return undefined;
    }
    const format = Number(await readFile(this.#path('format'), 'utf8'));
    if (format !== FORMAT) {
      fail('conflict', `${this.#directory} has format ${format} and this Shoal reads format ${FORMAT}`);
    }
    const [state, material] = await Promise.all([this.#read('node.json'), this.#read('certificate.json')]);
    return { state: parseState(state), material: parseMaterial(material) };
  }

  async create(state: SwarmState, material: CertificateMaterial): Promise<void> {
    for (const folder of [this.#directory, this.agentDirectory, this.raftDirectory]) {
      await mkdir(folder, { recursive: true, mode: FOLDER_MODE });
    }
    await writeFileAtomic(this.#path('format'), `${FORMAT}\n`);
    await this.saveMaterial(material);
    await writeFileAtomic(this.#path('node.json'), JSON.stringify(state));
  }

  async saveMaterial(material: CertificateMaterial): Promise<void> {
    await writeFileAtomic(this.#path('certificate.json'), JSON.stringify(material));
  }

  async erase(): Promise<void> {
    // First what makes it count, so that an interrupted removal is finished by the next start.
    await rm(this.#path('node.json'), { force: true });
    await rm(this.#directory, { recursive: true, force: true });
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

function parseMaterial(value: unknown): CertificateMaterial {
  const json = asObject(value, 'certificate.json');
  return {
    certificatePem: asString(json['certificatePem'], 'certificatePem'),
    keyPem: asString(json['keyPem'], 'keyPem'),
    rootsPem: asArray(json['rootsPem'], 'rootsPem', asString),
  };
}
