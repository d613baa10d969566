import { parseArgs } from 'node:util';

const parts = [
  'drain',
  'lag',
  'call',
  'fan-out',
  'outage',
  'queued',
  'base-backup',
  'switchover',
  'rejoin',
  'drill',
  'drill-cost',
  'start',
  'status',
] as const;
export type Part = (typeof parts)[number];

export interface BenchOptions {
  readonly parts: readonly Part[];
  /** The names of the tools; if empty, all that are installed. */
  readonly tools: readonly string[];
  readonly rounds: number;
  /** The backlog of the drain: a number of segments of 16 MB. */
  readonly segments: number;
  /** The backlog of the fan-out and of the outage. */
  readonly fanOutSegments: number;
  readonly fanOut: readonly number[];
  /** Switched segments per tool, over all rounds. */
  readonly switches: number;
  readonly calls: number;
  /** Changes of role by each tool. */
  readonly switchovers: number;
  /** The lengths of the queues that are compared. */
  readonly queued: readonly [number, number];
  /** The length of the queue that is compressed: a number of segments of 16 MB. */
  readonly queuedSegments: number;
  /** If empty, all that are installed. */
  readonly backupTools: readonly string[];
  /** The scale of the pgbench database: 16 MB each. */
  readonly backupScale: number;
  readonly backupRounds: number;
  readonly backupTables: number;
  readonly backupFiles: number;
  /** The scale of the pgbench database of a former primary. */
  readonly rejoinScale: number;
  readonly rejoinRounds: number;
  /** Pairs of a drill and a failover, and of a drill and a time without one. */
  readonly drillRounds: number;
  /** What both have to replay: a number of segments of 16 MB. */
  readonly drillSegments: number;
  /** The scale of the pgbench database whose standby answers queries meanwhile. */
  readonly drillScale: number;
  /** How long it is watched without a drill. */
  readonly drillQuietMs: number;
}

const full = {
  tools: [],
  rounds: 5,
  segments: 47,
  fanOutSegments: 32,
  switches: 200,
  calls: 300,
  switchovers: 20,
};
const fullBackup = {
  backupTools: [],
  backupScale: 480,
  backupRounds: 3,
  backupTables: 20_000,
  backupFiles: 100_000,
};
const quick = {
  tools: ['running', 'shipper', 'rsync', 'rsync-all', 'pgbackrest-async'],
  rounds: 1,
  segments: 12,
  fanOutSegments: 8,
  switches: 10,
  calls: 60,
  switchovers: 2,
};
/** Without tables and files: these two parts are left out. */
const quickBackup = {
  backupTools: ['threads-2', 'pg_basebackup', 'pg_basebackup-tls', 'rsync-az'],
  backupScale: 16,
  backupRounds: 1,
  backupTables: 0,
  backupFiles: 0,
};

export function parseOptions(args: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      tools: { type: 'string' },
      rounds: { type: 'string' },
      segments: { type: 'string' },
      switches: { type: 'string' },
    },
  });
  const size = values.quick ? quick : full;
  const backup = values.quick ? quickBackup : fullBackup;
  const segments = count('--segments', values.segments) ?? size.segments;
  return {
    ...size,
    ...backup,
    parts: values.only === undefined ? parts : listed(values.only).map(partNamed),
    tools: values.tools === undefined ? size.tools : listed(values.tools),
    backupTools: values.tools === undefined ? backup.backupTools : listed(values.tools),
    rounds: count('--rounds', values.rounds) ?? size.rounds,
    backupRounds: count('--rounds', values.rounds) ?? backup.backupRounds,
    segments,
    switches: count('--switches', values.switches) ?? size.switches,
    fanOutSegments: Math.min(segments, size.fanOutSegments),
    fanOut: values.quick ? [1, 4] : [1, 2, 4, 8],
    rejoinScale: values.quick ? 16 : 128,
    rejoinRounds: count('--rounds', values.rounds) ?? (values.quick ? 1 : 5),
    drillRounds: count('--rounds', values.rounds) ?? (values.quick ? 1 : 5),
    drillSegments: count('--segments', values.segments) ?? (values.quick ? 12 : 135),
    drillScale: values.quick ? 16 : 128,
    drillQuietMs: values.quick ? 10_000 : 30_000,
    queued: values.quick ? [50, 500] : [100, 10_000],
    queuedSegments: count('--segments', values.segments) ?? (values.quick ? 12 : 100),
  };
}

function listed(text: string): string[] {
  return text
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '');
}

function partNamed(name: string): Part {
  const part = parts.find((one) => one === name);
  if (part === undefined) throw new Error(`no part is named "${name}": there are ${parts.join(', ')}`);
  return part;
}

function count(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1)
    throw new Error(`${option} wants a number from 1, not "${text}"`);
  return number;
}
