import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { type PatroniMember, scope } from '../harness/patroni.ts';
import { familyOf, type ProcessEntry, processesOf } from '../harness/process-table.ts';
import { type Finished, killAll } from '../harness/processes.ts';
import { leaderOf } from './patroni-site.ts';
import { type Campaign, count, healthyLeader } from './patroni-verify.ts';

export function pick<T>(random: () => number, items: readonly T[]): T {
  const item = items[Math.floor(random() * items.length)];
  if (item === undefined) throw new Error('nothing to choose from');
  return item;
}

async function ctl({ log }: Campaign, member: PatroniMember, args: readonly string[]): Promise<Finished> {
  return log.ran(member.name, ['patronictl', ...args], await member.ctl(args));
}

function othersThan({ site }: Campaign, leader: PatroniMember): readonly PatroniMember[] {
  return site.members.filter((member) => member !== leader);
}

/** The leader more often than the others. */
function victim(campaign: Campaign, leader: PatroniMember): PatroniMember {
  const { random } = campaign;
  return random() < 0.65 ? leader : pick(random, othersThan(campaign, leader));
}

/** Whether the site has another leader before the limit; Patroni may have reasons to wait for the old one. */
async function isReplaced({ site }: Campaign, old: PatroniMember, limitMs: number): Promise<boolean> {
  return eventually(
    async () => {
      const leader = await leaderOf(site);
      return leader !== undefined && leader !== old;
    },
    { limitMs, everyMs: 300 },
  ).catch(() => false);
}

/** How long something is away: for a moment, or until another one leads. */
async function away(campaign: Campaign, member: PatroniMember, leader: PatroniMember): Promise<string> {
  const { random } = campaign;
  const pauseMs = 500 + random() * 4_000;
  if (random() < 0.3) {
    await delay(pauseMs);
    return 'for a moment';
  }
  if (member !== leader) {
    await delay(3 * pauseMs);
    return 'for some seconds';
  }
  return (await isReplaced(campaign, leader, 60_000)) ? 'until another one led' : 'for a minute';
}

async function switchover(campaign: Campaign, leader: PatroniMember): Promise<string> {
  const { site, random, isSynchronous } = campaign;
  // In synchronous mode only the synchronous standby may be chosen.
  const rows = await leader.server.sql(
    "SELECT application_name AS name FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')",
  );
  const safe = rows.map(({ name }) => String(name));
  const candidates = othersThan(campaign, leader).filter(({ name }) => !isSynchronous || safe.includes(name));
  const { name } = pick(random, candidates);
  const args = ['switchover', '--leader', leader.name, '--candidate', name, '--force', scope];
  const asked = await ctl(campaign, pick(random, site.members), args);
  expect(`${asked.code} ${asked.stdout}${asked.stderr}`).toContain('Successfully switched over');
  return `switchover from ${leader.name} to ${name}`;
}

async function killPatroni(campaign: Campaign, leader: PatroniMember): Promise<string> {
  const member = victim(campaign, leader);
  await member.kill();
  const time = await away(campaign, member, leader);
  member.start();
  return `Patroni of ${member.name} killed and away ${time}`;
}

async function killServer(campaign: Campaign, leader: PatroniMember): Promise<string> {
  const member = victim(campaign, leader);
  const which = pick(campaign.random, ['machine', 'postmaster'] as const);
  await member.server.kill9(which);
  return `server of ${member.name} killed (${which})`;
}

async function cutNetwork(campaign: Campaign, leader: PatroniMember): Promise<string> {
  const member = victim(campaign, leader);
  await member.host.network?.setLink('down');
  const time = await away(campaign, member, leader);
  await member.host.network?.setLink('up');
  return `network of ${member.name} cut ${time}`;
}

/** How often Patroni made this member's copy by our program. */
function copies(member: PatroniMember): number {
  return member.log().split('replica has been created using pitrtools').length - 1;
}

async function reinit(campaign: Campaign, leader: PatroniMember): Promise<string> {
  const member = pick(campaign.random, othersThan(campaign, leader));
  const before = copies(member);
  const asked = await ctl(campaign, leader, ['reinit', '--force', scope, member.name]);
  expect(`${asked.code} ${asked.stdout}${asked.stderr}`).toContain('Success: reinitialize for member');
  await eventually(() => copies(member) > before, {
    limitMs: 180_000,
    everyMs: 200,
    what: `a new copy of ${member.name}`,
  }).catch((error: unknown) => {
    throw new Error(member.log().slice(-4_000), { cause: error });
  });
  return `reinit of ${member.name}`;
}

/** The machine loses its power: etcd, Patroni, the server, sshd and all that they have started. */
async function crash(campaign: Campaign, leader: PatroniMember): Promise<string> {
  const member = victim(campaign, leader);
  const { host, server } = member;
  const hasHungSenders = member === leader && campaign.random() < 0.5;
  // What the leader writes now is only there.
  if (hasHungSenders) {
    const isSender = ({ commandLine }: ProcessEntry) => /wal ?sender/.test(commandLine);
    killAll(familyOf(server.postmaster() ?? 0).filter(isSender), 'SIGSTOP');
    await delay(700);
  }
  await host.network?.setLink('down');
  const etcd = campaign.site.etcd[campaign.site.members.indexOf(member)];
  await etcd?.kill();
  await member.kill();
  if (server.isRunning()) await server.kill9();
  await host.sshd.kill();
  killAll(processesOf(host.directory));
  const time = await away(campaign, member, leader);
  await host.network?.setLink('up');
  await host.sshd.start();
  etcd?.start();
  member.start();
  return `${member.name} without power ${time}${hasHungSenders ? ', after its WAL senders hung' : ''}`;
}

const changes = { switchover, killPatroni, killServer, cutNetwork, reinit, crash } as const;

export type Kind = keyof typeof changes;

export const kinds = Object.keys(changes) as readonly Kind[];

export async function change(campaign: Campaign, kind: Kind): Promise<string> {
  const leader = await healthyLeader(campaign, 240_000);
  count(campaign, kind);
  return changes[kind](campaign, leader);
}

/** From now on, a commit does not wait, or does wait, for another member. */
export async function setSynchronous(campaign: Campaign, isSynchronous: boolean): Promise<void> {
  const leader = await healthyLeader(campaign, 240_000);
  const asked = await ctl(campaign, leader, [
    ...['edit-config', '--force', '--quiet', '--set', `synchronous_mode=${isSynchronous}`, scope],
  ]);
  expect(`${asked.code} ${asked.stdout}${asked.stderr}`).toContain('Configuration changed');
  campaign.isSynchronous = isSynchronous;
  await eventually(
    async () => {
      const text = await campaign.site.key('sync');
      if (typeof text !== 'string') return !isSynchronous;
      const { sync_standby } = JSON.parse(text) as { sync_standby?: string | null };
      return (typeof sync_standby === 'string' && sync_standby !== '') === isSynchronous;
    },
    { limitMs: 120_000, everyMs: 200, what: `synchronous mode ${isSynchronous}` },
  );
}
