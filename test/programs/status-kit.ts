/** One look by the four views of --status, for tests that plant a trouble and expect each view to show it. */
import { expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { clientProgram } from '../harness/postgres-programs.ts';
import type { Primary } from '../harness/primary.ts';
import type { Standby } from '../harness/standby.ts';
import type { World } from '../harness/world.ts';
import { prepareArchive } from './archiver-cluster.ts';
import { allShipped, backupPair } from './backup-kit.ts';
import { makeStandby } from './matrix-kit.ts';
import { systemIdentifierOf } from './shipper-kit.ts';

/** The test machine's own disk is no matter here. */
export const roomyDisks = {
  disk_warning: 100,
  disk_critical: 100,
  disk_full_warning: 0,
  disk_full_critical: 0,
};

export const primaryIni = { debug: 'off', psql: clientProgram('psql'), ...roomyDisks, ssh_timeout: 2 };

/** A primary that ships, and the archive of a standby without a server. */
export async function shippingPair(world: World) {
  const primary = await world.startPrimary({ slaves: ['standby1'], ini: primaryIni });
  const standby = await world.host('standby1');
  prepareArchive(standby, await systemIdentifierOf(primary));
  expect(await world.cmdArchiver(primary, ['-I'])).toMatchObject({ code: 0 });
  return { primary, standby };
}

export type Look = (
  args: readonly string[],
) => Promise<{ readonly code: number | null; readonly stdout: string }>;

export const lookBy = {
  cmd_archiver:
    (world: World, primary: Primary): Look =>
    (args) =>
      world.cmdArchiver(primary, ['--status', ...args]),
  cmd_standby:
    (world: World, standby: Standby): Look =>
    (args) =>
      world.cmdStandby(standby, ['--status', ...args]),
};

export interface Expected {
  readonly name: string;
  readonly about?: string;
  readonly level: 'unknown' | 'warning' | 'critical';
}

interface Finding extends Expected {
  readonly message: string;
  readonly hint?: string;
}

const nagiosCodes = { ok: 0, warning: 1, critical: 2, unknown: 3 } as const;

export async function findingsOf(look: Look, args: readonly string[] = []): Promise<readonly Finding[]> {
  const { stdout } = await look(['--json', ...args]);
  return (JSON.parse(stdout) as { readonly findings: readonly Finding[] }).findings;
}

const isSame = (one: Expected, other: Expected): boolean =>
  one.name === other.name && one.level === other.level && (one.about ?? '') === (other.about ?? '');

/** Amounts and times grow from one look to the next. */
const withoutAmounts = (text: string): string => text.replaceAll(/\d[\d.:]*/g, 'N');

/**
 * Every view is a look of its own: on a loaded machine the trouble may not have been seen by all of them at first. One after the
 * other, because each has a limit of a few seconds.
 */
async function requireInAll(look: Look, args: readonly string[], expected: Expected): Promise<void> {
  const json = await look(['--json', ...args]);
  const people = await look(args);
  const nagios = await look(['--nagios', ...args]);
  const prometheus = await look(['--prometheus', ...args]);
  const { level, findings } = JSON.parse(json.stdout) as {
    readonly level: keyof typeof nagiosCodes;
    readonly findings: readonly Finding[];
  };
  const found = findings.find((finding) => isSame(finding, expected));
  if (found === undefined) throw new Error(`--json has ${JSON.stringify(findings)}`);
  // Every finding of a trouble has a way out.
  expect(found.hint, found.message).toMatch(/\S/);
  const words = withoutAmounts(people.stdout.replaceAll(/\s+/g, ' '));
  expect(words).toContain(`${expected.level.toUpperCase()} ${withoutAmounts(found.message).slice(0, 60)}`);
  expect(words).toContain(`→ ${withoutAmounts(found.hint ?? '').slice(0, 40)}`);
  expect(nagios.code).toBe(nagiosCodes[level]);
  expect(nagios.stdout).toMatch(new RegExp(`^cmd_\\w+ ${level.toUpperCase()} - [^\\n]*\\n$`));
  const labels = `name="${expected.name}",about="${expected.about ?? ''}",level="${expected.level}"`;
  expect(prometheus.stdout).toMatch(
    new RegExp(`^pitrtools_finding\\{program="cmd_\\w+",${labels}\\} 1$`, 'm'),
  );
}

export async function expectInAllViews(
  look: Look,
  args: readonly string[],
  expected: Expected,
  what: string,
): Promise<void> {
  await eventually(
    async () => {
      await requireInAll(look, args, expected);
      return true;
    },
    { what: `${what}: ${JSON.stringify(expected)} in all views`, limitMs: 120_000, everyMs: 500 },
  );
}

export interface Hosts {
  readonly world: World;
  readonly primary: Primary;
  readonly standby: Standby;
}

/** A pair as the how-to makes it: cmd_archiver ships, and the standby streams as well. */
export async function healthyPair(world: World): Promise<Hosts> {
  const { primary, standby } = await backupPair(world, {
    ini: { ...roomyDisks, use_streaming_replication: 'on', debug: 'off' },
  });
  primary.writeIni({ ...roomyDisks, psql: clientProgram('psql'), ssh_timeout: 2 });
  await makeStandby(world, standby);
  await allShipped(primary);
  return { world, primary, standby };
}

export function lookOf({ world, primary, standby }: Hosts, program: keyof typeof lookBy) {
  return program === 'cmd_archiver'
    ? lookBy.cmd_archiver(world, primary)
    : lookBy.cmd_standby(world, standby);
}
