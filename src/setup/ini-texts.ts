/** The two INI files: only what differs from the defaults, each key with a comment. Pure. */
import { shellQuote } from '../system/shell-quote.ts';
import { markedText } from './own-file.ts';

/** A key without a value is left out. */
interface Line {
  readonly comment?: string;
  readonly key: string;
  readonly value: string | undefined;
}

/** A `%` would begin a reference to another key. */
function lineText({ comment, key, value }: Line): string {
  if (value === undefined) return '';
  const above = comment === undefined ? '' : `# ${comment}\n`;
  return `${above}${key}: ${value.replaceAll('%', '%%')}\n`;
}

function fileText(program: string, sections: Readonly<Record<string, readonly Line[]>>): string {
  const head = [
    `# Written by ${program} --setup. Every other key has its default: see doc/reference.md.`,
    '# You can change this file: --setup never overwrites a file that was changed by hand.',
  ].join('\n');
  const blocks = Object.entries(sections).map(
    ([name, lines]) => `\n[${name}]\n${lines.map(lineText).join('')}`,
  );
  return markedText(`${head}\n${blocks.join('')}\n`);
}

/** Words for `ssh:`, which is split as a shell does. */
function wordsText(words: readonly string[]): string {
  return words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : shellQuote(word))).join(' ');
}

const sshComment = 'Our own key, and only hosts whose keys are in our own file; made by --setup.';
const userComment = 'The system user on all hosts, who is also a superuser of the database.';

export interface ArchiverIni {
  readonly pgdata: string;
  readonly standbys: readonly {
    readonly name: string;
    /** Where it is reached, if that is not its name. */
    readonly host?: string | undefined;
    readonly ssh: readonly string[];
    readonly archive: string;
  }[];
  readonly archive: string;
  readonly queues: string;
  /** cmd_standby's file, if it is not beside this one under its usual name. */
  readonly standbyIni: string | undefined;
  readonly user: string;
  /** The directory of the server's programs, if they are not on the PATH. */
  readonly psql: string | undefined;
}

export function archiverIniText(ini: ArchiverIni): string {
  const [first] = ini.standbys;
  const common = wordsText(first?.ssh ?? ['ssh']);
  const sections = ini.standbys.flatMap(({ name, host, ssh, archive }) => {
    const own: readonly Line[] = [
      { key: 'host', value: host },
      { key: 'ssh', value: wordsText(ssh) === common ? undefined : wordsText(ssh) },
      { key: 'r_archivedir', value: archive === ini.archive ? undefined : archive },
    ];
    return own.some(({ value }) => value !== undefined) ? [[name, own] as const] : [];
  });
  return fileText('cmd_archiver', {
    DEFAULT: [
      { comment: 'The data directory of this server.', key: 'pgdata', value: ini.pgdata },
      {
        comment: 'The hosts to which WAL is sent while this server is the primary.',
        key: 'slaves',
        value: ini.standbys.map(({ name }) => name).join(', '),
      },
      {
        comment: 'The directory of a standby in which WAL arrives: archivedir in its cmd_standby.ini.',
        key: 'r_archivedir',
        value: ini.archive,
      },
      {
        comment: 'The directory here in which WAL waits for a standby that cannot be reached.',
        key: 'l_archivedir',
        value: ini.queues,
      },
      { comment: "cmd_standby's file on this host.", key: 'standby_ini', value: ini.standbyIni },
      { comment: sshComment, key: 'ssh', value: common },
      { comment: userComment, key: 'user', value: ini.user === 'postgres' ? undefined : ini.user },
      { comment: 'psql is not on the PATH.', key: 'psql', value: ini.psql },
    ],
    ...Object.fromEntries(sections),
  });
}

export interface StandbyIni {
  readonly primary: string;
  /** The name by which the other hosts reach this one; undefined if it is the name of this host. */
  readonly publicName: string | undefined;
  /** The port of the primary's server. */
  readonly port: number;
  /** The directory of the socket of the primary's server, or an address. */
  readonly localAddress: string;
  readonly pgdata: string;
  readonly archive: string;
  /** cmd_archiver's file, if it is not beside this one under its usual name. */
  readonly archiverIni: string | undefined;
  readonly ssh: readonly string[];
  readonly user: string;
  /** How it streams; undefined for a release that cannot, or not with a role that only replicates. */
  readonly streaming: { readonly role: string; readonly password: string } | undefined;
  /** pg_ctl and psql of a server that is not where packages install it. */
  readonly programs: string | undefined;
}

export function standbyIniText(ini: StandbyIni): string {
  const { streaming, programs } = ini;
  return fileText('cmd_standby', {
    DEFAULT: [
      { comment: 'The primary.', key: 'master_public_ip', value: ini.primary },
      { key: 'port', value: ini.port === 5432 ? undefined : String(ini.port) },
      {
        comment: 'Where psql finds its server when it runs on that host.',
        key: 'master_local_ip',
        value: ini.localAddress === '127.0.0.1' ? undefined : ini.localAddress,
      },
      {
        comment: 'How the other hosts reach this one once it is the primary.',
        key: 'public_ip',
        value: ini.publicName,
      },
      { comment: 'The data directory of this server.', key: 'pgdata', value: ini.pgdata },
      {
        comment: 'Where WAL of the primary arrives: r_archivedir in its cmd_archiver.ini.',
        key: 'archivedir',
        value: ini.archive,
      },
      { comment: "cmd_archiver's file on this host.", key: 'archiver_ini', value: ini.archiverIni },
      { comment: sshComment, key: 'ssh', value: wordsText(ini.ssh) },
      { comment: userComment, key: 'user', value: ini.user === 'postgres' ? undefined : ini.user },
      {
        comment: 'Streaming, by a role of this host alone; the archive has what cannot be streamed.',
        key: 'use_streaming_replication',
        value: streaming === undefined ? undefined : 'on',
      },
      { key: 'repl_db_user', value: streaming?.role },
      { key: 'repl_db_password', value: streaming?.password },
      {
        comment: 'The programs of a server that no package has installed.',
        key: 'includepath',
        value: programs,
      },
    ],
  });
}
