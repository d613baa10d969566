import { join } from 'node:path';
import { exitCodes, messageOf, PitrError } from '../../errors.ts';
import type { SegmentName } from '../../postgres/wal-name.ts';
import { showJson } from '../../status/show.ts';
import { sha256Of } from '../../system/digest.ts';
import { exists, systemErrorCode } from '../../system/durable.ts';
import { documentHead } from '../../system/json-document.ts';
import { quoted } from '../../system/printable.ts';
import type { ArchiverDeps } from '../deps.ts';
import { type Lane, lanesOf } from '../lane/lane.ts';
import { askInventory } from '../ledger/ask-inventory.ts';
import { compareLedger, type Finding, type Inventory } from '../ledger/judge.ts';
import { readLedger } from '../ledger/read.ts';
import { type Cluster, readPinnedCluster } from '../wal/cluster.ts';
import { findOwnArchive } from '../wal/own-archive.ts';
import { walDirectory } from '../wal/ready-files.ts';
import { checkWalFile, isStill, walFileAt } from '../wal/wal-file.ts';

/** The form of --json: it changes when a field is removed or changes its meaning. */
const jsonVersion = 1;

interface Content {
  /** How many segments were compared byte by byte, by their digests. */
  readonly compared: number;
  readonly other: readonly string[];
  /** Those that are here and could not be read, or of which the standby has given no digest: nothing shows their content. */
  readonly unread: readonly { readonly name: string; readonly reason: string }[];
}

type Audit =
  | {
      readonly kind: 'known';
      readonly finding: Finding;
      readonly content: Content | undefined;
      /** Lines of the ledger that are not understood: what they record was not looked for. */
      readonly unread: number;
    }
  | { readonly kind: 'unknown'; readonly reason: string };

/** A segment as it is here. */
type Own =
  | { readonly kind: 'read'; readonly digest: string }
  | { readonly kind: 'gone' }
  | { readonly kind: 'unread'; readonly reason: string };

/** Why a file that could not be read is not simply gone; undefined if it is, or if it is another one by now. */
async function troubleOf(path: string, error: unknown): Promise<string | undefined> {
  if (error instanceof PitrError && error.exitCode === exitCodes.refused) return undefined;
  const isThere = await exists(path).catch(() => true);
  return isThere ? reasonOf(error) : undefined;
}

function reasonOf(error: unknown): string {
  const detail = error instanceof PitrError && error.detail !== undefined ? ` (${error.detail})` : '';
  return `${messageOf(error)}${detail}`;
}

/** @param directories where it may be, one after the other */
export async function ownDigest(
  { settings }: Pick<ArchiverDeps, 'settings'>,
  cluster: Cluster,
  directories: readonly string[],
  name: SegmentName,
): Promise<Own> {
  let trouble: string | undefined;
  for (const directory of directories) {
    const path = join(directory, name.text);
    try {
      const file = await walFileAt(path, name);
      await checkWalFile(file, cluster, settings.pgdata);
      const digest = await sha256Of(file.path);
      // PostgreSQL may have recycled it meanwhile.
      if (await isStill(file)) return { kind: 'read', digest };
    } catch (error) {
      if (!(error instanceof PitrError) && systemErrorCode(error) === undefined) throw error;
      trouble ??= await troubleOf(path, error);
    }
  }
  return trouble === undefined ? { kind: 'gone' } : { kind: 'unread', reason: trouble };
}

async function compareContent(
  deps: ArchiverDeps,
  cluster: Cluster,
  { whole }: Finding,
  { files }: Inventory,
): Promise<Content> {
  const archive = await findOwnArchive(deps, cluster);
  const directories = [await walDirectory(deps.settings.pgdata), ...(archive === undefined ? [] : [archive])];
  const other: string[] = [];
  const unread: { name: string; reason: string }[] = [];
  let compared = 0;
  for (const name of whole) {
    deps.signal.throwIfAborted();
    const theirs = files.get(name.text)?.sha256;
    const ours: Own =
      theirs === undefined
        ? { kind: 'unread', reason: 'the standby gave no digest' }
        : await ownDigest(deps, cluster, directories, name);
    if (ours.kind === 'unread') unread.push({ name: name.text, reason: ours.reason });
    if (ours.kind !== 'read') continue;
    compared += 1;
    if (ours.digest !== theirs) other.push(name.text);
  }
  return { compared, other, unread };
}

async function auditLane(deps: ArchiverDeps, lane: Lane, cluster: Cluster, digests: boolean): Promise<Audit> {
  // Read first: a segment that is delivered meanwhile is not looked for.
  const { layout, ranges, refused } = await readLedger(deps, lane.name);
  if (layout === undefined || ranges.length === 0)
    return { kind: 'unknown', reason: 'the ledger records no delivery' };
  const asked = await askInventory(deps, lane, cluster.systemIdentifier, digests, { ranges, layout });
  if (asked.kind === 'unknown') return asked;
  const finding = compareLedger(ranges, asked.inventory, layout);
  const content = digests ? await compareContent(deps, cluster, finding, asked.inventory) : undefined;
  return { kind: 'known', finding, content, unread: refused.length };
}

/** One standby that cannot be asked must not hide the others. */
async function auditSafely(
  deps: ArchiverDeps,
  lane: Lane,
  cluster: Cluster,
  digests: boolean,
): Promise<Audit> {
  try {
    return await auditLane(deps, lane, cluster, digests);
  } catch (error) {
    deps.signal.throwIfAborted();
    return { kind: 'unknown', reason: messageOf(error) };
  }
}

function verdictOf(audit: Audit): 'whole' | 'faulty' | 'unknown' {
  if (audit.kind === 'unknown') return 'unknown';
  const { finding, content, unread } = audit;
  const faults = finding.missing.length + finding.wrongSize.length + (content?.other.length ?? 0);
  if (faults > 0) return 'faulty';
  return unread > 0 || (content?.unread.length ?? 0) > 0 ? 'unknown' : 'whole';
}

const unreadWords = (lines: number): string =>
  `${lines === 1 ? 'a line' : `${lines} lines`} of its ledger cannot be read (--ledger names them): what was recorded there was not looked for`;

function summaryOf({ from, expected, aside, missing, wrongSize }: Finding): string {
  if (from === undefined) return 'no delivered segment is newer than its restartpoint';
  const lacking = missing.reduce((sum, { segments }) => sum + segments, 0);
  const there = expected - aside - lacking - wrongSize.length;
  const moved =
    aside === 0 ? '' : `, ${aside} were moved aside there, or are behind the end of a timeline that was left`;
  return `${there} of ${expected} delivered segments from ${from} on are there${moved}`;
}

function report({ report: say }: ArchiverDeps, name: string, audit: Audit): void {
  const line = (text: string): void => {
    say(`Standby ${name}: ${text}`);
  };
  if (audit.kind === 'unknown') {
    line(`unknown: ${quoted(audit.reason)}`);
    return;
  }
  const { finding, content, unread } = audit;
  line(summaryOf(finding));
  if (unread > 0) line(`unknown: ${unreadWords(unread)}`);
  for (const { first, last, segments } of finding.missing)
    line(`missing: ${first === last ? first : `${first} to ${last} (${segments})`}`);
  for (const { name: segment, size } of finding.wrongSize) line(`wrong size: ${segment} has ${size} bytes`);
  if (content === undefined) return;
  for (const segment of content.other) line(`other content: ${segment}`);
  for (const { name: segment, reason } of content.unread)
    line(`unknown: ${segment} could not be compared: ${quoted(reason)}`);
  const { compared, unread: uncompared } = content;
  const gone = finding.whole.length - compared - uncompared.length;
  line(
    `${compared} of ${finding.whole.length} were compared by their digests${gone > 0 ? `: ${gone} are here no more` : ''}`,
  );
}

function shownOf(name: string, audit: Audit) {
  if (audit.kind === 'unknown') return { standby: name, verdict: 'unknown', reason: audit.reason };
  const { unread } = audit;
  const { from, expected, aside, missing, wrongSize } = audit.finding;
  return {
    standby: name,
    verdict: verdictOf(audit),
    ...(unread === 0 ? {} : { reason: unreadWords(unread) }),
    ...(from === undefined ? {} : { from }),
    expected,
    aside,
    missing,
    wrongSize,
    ...(audit.content === undefined
      ? {}
      : {
          compared: audit.content.compared,
          otherContent: audit.content.other,
          uncompared: audit.content.unread,
        }),
  };
}

function chosenLanes(deps: ArchiverDeps, standby: string | undefined): readonly Lane[] {
  const lanes = lanesOf(deps);
  const chosen = lanes.filter(({ name }) => standby === undefined || name === standby);
  if (chosen.length > 0) return chosen;
  throw new PitrError(`"${quoted(standby ?? '')}" is not a standby of this configuration`, {
    hint: `Known: ${lanes.map(({ name }) => name).join(', ')}.`,
  });
}

/**
 * `--audit`: compares what the ledger says was delivered with what each standby says it has. Changes nothing.
 *
 * @returns 0 only if every standby was asked, and all is there
 */
export async function audit(
  deps: ArchiverDeps,
  request: { readonly standby: string | undefined; readonly digests: boolean; readonly json: boolean },
): Promise<number> {
  const lanes = chosenLanes(deps, request.standby);
  const cluster = await readPinnedCluster(deps);
  const audits = await Promise.all(
    lanes.map(async (lane) => ({
      name: lane.name,
      audit: await auditSafely(deps, lane, cluster, request.digests),
    })),
  );
  if (request.json)
    showJson({
      ...documentHead(jsonVersion, { program: 'cmd_archiver', host: deps.hostName, atMs: deps.now() }),
      standbys: audits.map(({ name, audit: one }) => shownOf(name, one)),
    });
  else for (const { name, audit: one } of audits) report(deps, name, one);
  return audits.every(({ audit: one }) => verdictOf(one) === 'whole') ? 0 : exitCodes.failure;
}
