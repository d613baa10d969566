import { cpSync, existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { missingHostNetworks } from '../harness/host-networks.ts';
import { failureMajors, serverProgram } from '../harness/postgres-programs.ts';
import { familyOf } from '../harness/process-table.ts';
import { createRandom, testSeed } from '../harness/random.ts';
import { test } from '../harness/test.ts';
import type { World } from '../harness/world.ts';
import {
  type Campaign,
  change,
  count,
  followers,
  namePeer,
  onPrimary,
  onStandby,
  timelineOf,
} from './roles-changes.ts';
import {
  campaignLog,
  idsUpTo,
  lsnOf,
  makeNodes,
  type Node,
  replays,
  slotsFor,
  startClient,
  watchPrimaries,
} from './roles-kit.ts';

const seed = testSeed();
const changes = Number(process.env['PITRTOOLS_TEST_CHANGES'] ?? 3);

/** What must hold after every change. */
async function verify(campaign: Campaign, about: string): Promise<void> {
  const { primary, client, lost, settled, log, random } = campaign;
  const before = client.rows.length;
  const deadline = Date.now() + 30_000;
  while (client.rows.length < before + 5 && Date.now() < deadline) await delay(50);
  expect(client.rows.length, `${about}: the client writes to ${primary.name}`).toBeGreaterThanOrEqual(
    before + 5,
  );
  const acknowledged = client.rows.slice();
  const last = acknowledged.at(-1)?.id ?? 0;
  const isCheckpointed = random() < 0.5;
  if (isCheckpointed) await primary.standby.sql('CHECKPOINT');
  const lsn = lsnOf(await primary.standby.value('SELECT pg_current_wal_lsn()::text'));
  const timeline = await timelineOf(primary);
  await primary.primary.switchWal();
  const there = await idsUpTo(primary, last);
  const has = new Set(there);
  const missing = acknowledged.filter(({ id }) => !has.has(id) && !lost.has(id));
  expect(
    missing.map(({ id }) => id),
    `${about}: acknowledged, but not on ${primary.name}`,
  ).toEqual([]);
  for (const node of followers(campaign)) {
    await replays(node, lsn, 90_000);
    expect(await idsUpTo(node, last), `${about}: rows on ${node.name}`).toEqual(there);
    if (isCheckpointed) await node.standby.sql('CHECKPOINT');
    expect(replayedTimeline(node), `${about}: timeline of ${node.name}`).toBe(timeline);
    expect(await slotsFor(node), `${about}: slots for others on ${node.name}`).toEqual([]);
    await noGap(campaign, node);
  }
  for (const id of there) settled.add(id);
  for (const node of followers(campaign)) await lacksNothing(campaign, node);
  log.say(`${about}: ${there.length} rows everywhere, timeline ${timeline}`);
}

/** Every server says in the title of its startup process which segment it reads. */
function replayedTimeline({ standby }: Node): number {
  const titles = familyOf(standby.postmaster() ?? 0).map(({ commandLine }) => commandLine);
  const found = titles.flatMap(
    (title) => /startup +(?:recovering|waiting for) ([0-9A-F]{8})/.exec(title)?.[1] ?? [],
  );
  return Number.parseInt(found[0] ?? '', 16);
}

/** The archive lags behind a streaming standby, and the shipper asks a standby again only after some time. */
async function noGap(campaign: Campaign, node: Node): Promise<void> {
  for (let round = 0; ; round += 1) {
    const { stdout, stderr } = await onStandby(campaign, node, ['--wal']);
    if (!/missing/i.test(stdout + stderr)) return;
    expect(round, `${node.name}: --wal:\n${stdout}${stderr}`).toBeLessThan(8);
    await onPrimary(campaign, campaign.primary, ['--flush'], [0, 1]);
    await delay(1_000);
  }
}

/**
 * A former primary that rejoins has WAL of its own from before the fork in pg_wal only: the archiver calls that a gap until the
 * next restartpoint, when nothing needs it any more.
 */
async function lacksNothing(campaign: Campaign, node: Node): Promise<void> {
  const { primary } = campaign;
  for (let round = 0; ; round += 1) {
    const { stdout, stderr } = await onPrimary(campaign, primary, [], [0]);
    const said = stdout + stderr;
    expect(said).not.toMatch(new RegExp(`\\b${node.name} has diverged`));
    if (!new RegExp(`\\b${node.name} lacks`).test(said)) return;
    expect(round, said).toBeLessThan(4);
    count(campaign, 'gap until the next restartpoint');
    await primary.standby.sql('CHECKPOINT');
    const lsn = lsnOf(await primary.standby.value('SELECT pg_current_wal_lsn()::text'));
    await primary.primary.switchWal();
    await replays(node, lsn, 90_000);
    await node.standby.sql('CHECKPOINT');
    await onPrimary(campaign, primary, ['--flush'], [0, 1]);
    await delay(1_000);
  }
}

/** The packaged servers hold initdb, pg_ctl and postgres only. */
function hasRewind(major: number): boolean {
  return existsSync(join(dirname(serverProgram(major, 'pg_ctl')), 'pg_rewind'));
}

/** For who looks for the reason: the world of a test ends with it. */
function keepWorld({ directory }: World, major: number): void {
  const place = process.env['PITRTOOLS_TEST_KEEP'];
  if (place === undefined) return;
  const copy = join(place, `roles-${major}-${seed}-${Date.now()}`);
  const isSocket = /\/\.s\.PGSQL|\.sock$/;
  cpSync(directory, copy, { recursive: true, filter: (source) => !isSocket.test(source) });
  console.log(`kept in ${copy}`);
}

const missing = await missingHostNetworks();
if (missing !== undefined) console.log(`skipped: ${missing}`);

describe
  .skipIf(missing !== undefined)
  .each(process.env['PITRTOOLS_TEST_CHANGES'] === undefined ? failureMajors().slice(-1) : failureMajors())(
  'changes of role at random on PostgreSQL %i',
  (major) => {
    test.override({ major, hasNetworks: true });

    test(
      `lose no row and leave no gap (seed ${seed}, ${changes} changes)`,
      { timeout: 120_000 + changes * 120_000 },
      async ({ world }) => {
        const beganMs = Date.now();
        const random = createRandom(seed + major);
        const log = campaignLog();
        const streams = [random() < 0.5, false, true] as const;
        const hasSlots = random() < 0.5;
        const nodes = await makeNodes(world, { streams, walSegmentMb: random() < 0.7 ? 1 : 16, hasSlots });
        const [a, b, c] = nodes;
        const client = startClient(nodes, 30);
        const campaign: Campaign = {
          ...{ world, nodes, random, log, client, primary: a, epoch: 0 },
          ...{ away: new Map(), counts: {}, settled: new Set(), lost: new Set() },
        };
        const watched = watchPrimaries(nodes, (line) => {
          log.say(line);
        });
        try {
          for (const node of [b, c]) {
            for (const action of ['-I', '-B', '-S']) await onStandby(campaign, node, [action]);
            await onPrimary(campaign, node, ['-I']);
          }
          namePeer(campaign);
          await verify(campaign, 'the beginning');
          for (let round = 1; round <= changes; round += 1) {
            log.say(`--- change ${round}`);
            const kind = await change(campaign);
            await verify(campaign, `after change ${round}, ${kind}`);
            expect(watched.seen(), `two servers took writes; change ${round}, ${kind}`).toBe(0);
          }
          const { '-B': backups = 0, rejoin: rejoins = 0, 'rejoin without -B': cheap = 0 } = campaign.counts;
          const minutes = ((Date.now() - beganMs) / 60_000).toFixed(1);
          console.log(
            `PostgreSQL ${major}, seed ${seed}: ${changes} changes in ${minutes} min, ${backups} times -B, ${cheap} of ${rejoins} rejoins without; ${hasSlots ? 'by slots' : 'no slots'}, ${JSON.stringify(campaign.counts)}, ${client.rows.length} rows`,
          );
          // Each of a few may be one that needs it.
          if (hasRewind(major) && rejoins > 3)
            expect(cheap, 'rejoins without -B').toBeGreaterThanOrEqual(rejoins / 2);
        } catch (error) {
          console.log(log.lines.join('\n'));
          console.log(JSON.stringify(campaign.counts));
          keepWorld(world, major);
          throw error;
        } finally {
          await client.stop();
          await watched.stop();
        }
      },
    );
  },
);
