// Pulling one image from one endpoint: manifest → config → layers side by side, each unpacked as it arrives → one record.
import type { Clock } from '../../base/clock.ts';
import { fail, sentenceOf } from '../../base/errors.ts';
import { Limiter } from '../../base/limiter.ts';
import { inParallel } from '../../base/parallel.ts';
import type { ImageDoor } from '../image/door.ts';
import type { ProgressLine } from '../image/contract.ts';
import type { ExpectedLayer, Intake } from '../image/intake.ts';
import { familiar, familiarName, type Reference, repository, tagKey } from '../image/reference.ts';
import type { Staging } from '../image/staging.ts';
import { compressionName, readableHere } from '../image/compression.ts';
import type { Descriptor } from './contract.ts';
import { downloadBlob } from './download.ts';
import { LayerProgress } from './layer-progress.ts';
import type { ImageManifest } from './manifest.ts';
import { fits, fitting, type Platform, platformText } from '../../base/platform.ts';
import type { FetchedManifest, Repository } from './repository.ts';

export interface PullDeps {
  readonly door: ImageDoor;
  readonly clock: Clock;
  readonly downloads: Limiter; // of the whole daemon
  readonly attemptsMax: number;
}

export interface Pull {
  readonly reference: Reference;
  readonly platform: Platform;
  /** The platform was asked for: another one is an error, not a surprise for later. */
  readonly platformAsked: boolean;
  readonly report: (line: ProgressLine) => void;
  readonly abort: AbortSignal;
}

export async function pullImage(from: Repository, pull: Pull, deps: PullDeps): Promise<string> {
  const { reference, report } = pull;
  const name = reference.digest ?? reference.tag ?? 'latest';
  const top = await from.manifest(name);
  const chosen = await imageIn(from, top, pull);
  report({ status: `Pulling from ${reference.path}`, id: name });
  const digest = `${repository(reference)}@${top.descriptor.digest}`;
  const tags = reference.digest === undefined ? [tagKey(reference)] : [];
  const before = tags[0] === undefined ? undefined : deps.door.tagged(tags[0]);
  const id = chosen.image.config.digest;
  const here = deps.door.find(id);
  if (here) checkPlatform(here, pull);
  const wasHere = await deps.door.addNames(id, { tags, digests: [digest] });
  if (!wasHere) await bringImage(from, chosen, { pull, deps, tags, digests: [digest] });
  deps.door.announce('pull', id, tags[0]);
  report({ status: `Digest: ${top.descriptor.digest}` });
  const isNews = tags.length > 0 ? before !== id : !wasHere;
  report({
    status: `Status: ${isNews ? 'Downloaded newer image for' : 'Image is up to date for'} ${familiar(reference)}`,
  });
  return id;
}

interface Chosen {
  readonly image: ImageManifest;
  readonly bytes: Buffer;
}

async function imageIn(from: Repository, top: FetchedManifest, { platform }: Pull): Promise<Chosen> {
  if (top.parsed.kind === 'image') return { image: top.parsed, bytes: top.bytes };
  const [best] = fitting(top.parsed.manifests, platform);
  if (!best) fail('not-found', `no matching manifest for ${platformText(platform)} in the manifest list entries`);
  const { parsed, bytes } = await from.manifest(best.digest);
  if (parsed.kind === 'index') fail('invalid', `manifest ${best.digest} of the index is an index itself`);
  return { image: parsed, bytes };
}

async function bringImage(
  from: Repository,
  { image, bytes }: Chosen,
  work: { pull: Pull; deps: PullDeps; tags: readonly string[]; digests: readonly string[] },
): Promise<void> {
  const { pull, deps, tags, digests } = work;
  for (const layer of image.layers) refuseUnreadable(layer);
  const config = await from.blob(image.config);
  await using staging = await deps.door.stage();
  await using intake = await deps.door.begin(staging, config);
  checkPlatform(intake.facts, pull);
  if (intake.layers.length !== image.layers.length) {
    const counts = `expected ${intake.layers.length}, got ${image.layers.length}`;
    fail('invalid', `mismatched layers in manifest: ${counts}`);
  }
  await bringLayers(from, image.layers, { intake, staging, pull, deps });
  await deps.door.finish(intake, { tags, digests, manifest: bytes });
}

function refuseUnreadable({ mediaType }: Descriptor): void {
  const compression = compressionName(mediaType);
  if (readableHere(compression)) return;
  fail(
    'not-implemented',
    `the image has layers compressed with ${compression}, which needs Node 22.15 or newer; this is ${process.version}`,
  );
}

function checkPlatform(actual: Platform, { reference, platform, platformAsked }: Pull): void {
  if (actual.os !== '' && actual.os !== 'linux') {
    fail(
      'invalid',
      `image operating system "${actual.os}" cannot be used on this platform: operating system is not supported`,
    );
  }
  if (!platformAsked || fits(actual, platform)) return;
  fail(
    'not-found',
    `image with reference ${familiarName(reference)} was found but does not provide the specified platform (${platformText(platform)})`,
  );
}

interface Layers {
  readonly intake: Intake;
  readonly staging: Staging;
  readonly pull: Pull;
  readonly deps: PullDeps;
}

async function bringLayers(from: Repository, blobs: readonly Descriptor[], work: Layers): Promise<void> {
  const { intake, pull, deps } = work;
  const progress = blobs.map(({ digest }) => new LayerProgress(digest, { clock: deps.clock, report: pull.report }));
  for (const [index, layer] of intake.layers.entries()) {
    progress[index]?.say(intake.has(layer) ? 'Already exists' : 'Pulling fs layer');
  }
  const missing = intake.layers.flatMap((layer, index) => {
    const [blob, told] = [blobs[index], progress[index]];
    return blob && told && !intake.has(layer) ? [{ layer, blob, told }] : [];
  });
  for (const { told } of missing.slice(DOWNLOADS_BEFORE_WAITING)) told.say('Waiting');
  await inParallel(missing, missing.length, pull.abort, (item, _index, abort) =>
    bringLayer(from, item, { ...work, abort }),
  );
}

/** Only for what is shown: the first ones begin at once. */
const DOWNLOADS_BEFORE_WAITING = 3;

async function bringLayer(
  from: Repository,
  { layer, blob, told }: { layer: ExpectedLayer; blob: Descriptor; told: LayerProgress },
  { intake, staging, deps, abort }: Layers & { abort: AbortSignal },
): Promise<void> {
  const take = () =>
    deps.downloads.run(
      async () => {
        const stream = downloadBlob(from, {
          blob,
          attemptsMax: deps.attemptsMax,
          abort,
          onBytes: (done) => told.move('Downloading', done, blob.sizeBytes),
          onRetry: (error) => told.say(`Retrying: ${sentenceOf(error)}`),
        });
        const taken = await deps.door.take(staging, { stream }, abort);
        told.say('Verifying Checksum');
        return taken;
      },
      { abort },
    );
  const brought = await intake.bring(layer, take, blob.digest);
  if (brought) told.say('Download complete');
  if (brought) told.move('Extracting', blob.sizeBytes, blob.sizeBytes);
  told.say(brought ? 'Pull complete' : 'Already exists');
}
