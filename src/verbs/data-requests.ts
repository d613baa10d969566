/**
 * The requests to the host of a primary, and to that of a standby whose files are copied: everything that cmd_standby does
 * there but the verbs (verbs.ts), rsync (system/rsync-daemon.ts) and SQL (statements.ts). A restricted key allows these
 * and no others. `archiver/serve/` says which paths each of them may name.
 */
import { forcedScript } from '../check/login.ts';
import { clockScript } from '../system/remote-clock.ts';
import { shellQuote } from '../system/shell-quote.ts';
import type { RemoteWork } from '../system/ssh.ts';
import { archiveRequests } from './archive-requests.ts';
import { directoryName, path, port, severalOf, text, timeline, token } from './arguments.ts';
import {
  databaseWord,
  offeredFile,
  page,
  pathBelow,
  patternBelow,
  separator,
  serverAddress,
  upTo,
} from './data-arguments.ts';
import { type Arguments, type ScriptRequest, type ValuesOf, workOf } from './request.ts';
import { listScript, pagesScript, readFileScript, sizesScript } from './scripts/data-files.ts';
import { libcScript } from './scripts/host-facts.ts';
import { identityScript as serverIdentityScript, processScript, psqlScript } from './scripts/liveness.ts';
import { beginOfferScript, incomingOf, storeScript } from './scripts/offer.ts';
import { identityScript, placesScript, probesScript } from './scripts/places.ts';

/** The programs there, as the maker of the script knows them: words for sh. */
export interface DataPlace {
  readonly psql: { readonly program: string; readonly args: readonly string[] };
  readonly rsync: string;
  /** It shows its version. */
  readonly program: string;
}

function request<A extends Arguments>(
  args: A,
  script: (values: ValuesOf<A>, place: DataPlace) => string,
): ScriptRequest<DataPlace, A> {
  return { arguments: args, script: (place, values) => script(values, place) };
}

const longestFile = 16 * 1024 * 1024;
const server = { address: serverAddress, port, user: databaseWord, database: databaseWord } as const;
const longestLookS = 3600;
const offer = { archive: path, timeline, host: directoryName, run: token } as const;

const question = (
  { address, port: number, user, database, limitS }: ValuesOf<typeof server> & { readonly limitS: number },
  { psql }: DataPlace,
) => ({ psql, host: address, port: number, user, database, primaryPgdata: undefined, limitS });

export const dataRequests = {
  /** Does nothing: the connection is seen to work. */
  alive: request({}, () => ':'),
  'read-file': request({ path, bytes: upTo(longestFile) }, ({ path: file, bytes }) =>
    readFileScript(file, bytes),
  ),
  /** The INI file of cmd_archiver there, for --setup of a standby. */
  'ini-file': request({ ini: path }, ({ ini }) => `cat -- ${shellQuote(ini)} 2>/dev/null`),
  /** Succeeds if there is such a file. */
  'is-file': request({ path }, ({ path: file }) => `test -f ${shellQuote(file)}`),
  /** The files below a directory. */
  files: request(
    { root: path, unread: severalOf(patternBelow), leftAlone: severalOf(pathBelow) },
    ({ root, unread, leftAlone }) => listScript(root, { unread, linksLeftAlone: leftAlone }),
  ),
  sizes: request({ root: path, paths: severalOf(pathBelow) }, ({ root, paths }) => sizesScript(root, paths)),
  pages: request({ root: path, pages: severalOf(page) }, ({ root, pages }) => pagesScript(root, pages)),
  /** Which directories these are, in numbers of devices and inodes. */
  places: request({ paths: severalOf(path) }, ({ paths }) => placesScript(paths)),
  /** Whether a file that another host has made is seen in these directories. */
  probes: request({ probe: token, paths: severalOf(path) }, ({ probe, paths }) =>
    probesScript(paths, `.pitrtools-probe-${probe}`),
  ),
  identity: request({ directory: path }, ({ directory }) => identityScript(directory)),
  'rsync-version': request({}, (_none, { rsync }) => `${rsync} --version 2>&1`),
  /** Whether PostgreSQL can run this program with this INI file, from its data directory. */
  'archive-program': request(
    { root: path, program: text, ini: text },
    ({ root, program, ini }) =>
      `(cd ${shellQuote(root)} && { ${program.includes('/') ? `test -x ${shellQuote(program)} || exit 11` : ':'}; test -f ${shellQuote(ini)} || exit 12; })`,
  ),
  'host-facts': request(
    { ini: path },
    ({ ini }, { rsync, program }) => `LC_ALL=C; export LC_ALL
${clockScript}
${forcedScript}
if [ -r ${shellQuote(ini)} ]; then echo ini; fi
${rsync} --version 2>&1 | sed -n '1s/^/rsync /p'
{ ${libcScript}; } | sed 's/^/libc /'
${program} --version 2>&1 | sed -n '1s/^/program /p'`,
  ),
  clock: request({}, () => clockScript),
  /** The sentinel of an archive that this host has or had as a standby. Asked as that of a standby. */
  sentinel: request({ archive: path }, ({ archive }) =>
    archiveRequests.sentinel.script(
      { archivedir: archive, rsync: '', program: '', walDirectory: '' },
      { archive },
    ),
  ),
  /** Makes a directory in the archive there, for WAL of a former primary, which rsync then brings. */
  'begin-offer': request(offer, (place) => beginOfferScript(place)),
  /** Stores it under its own names, where nothing is replaced, and beside them. */
  'store-offer': request({ ...offer, files: severalOf(offeredFile) }, ({ files, ...place }) =>
    storeScript(incomingOf(place), files),
  ),
  /** The processes of the data directory. */
  processes: request({ root: severalOf(path) }, ({ root }) => processScript(root[0])),
  /** Whether a server answers psql there. */
  answers: request({ ...server, limitS: upTo(longestLookS) }, (args, place) =>
    psqlScript(question(args, place)),
  ),
  /** The identity of that server. */
  'server-identity': request({ ...server, limitS: upTo(longestLookS) }, (args, place) =>
    serverIdentityScript(question(args, place)),
  ),
} as const;

export type DataRequestName = keyof typeof dataRequests;
export type DataValues<Name extends DataRequestName> = ValuesOf<(typeof dataRequests)[Name]['arguments']>;

const usual: DataPlace = { psql: { program: 'psql', args: [] }, rsync: 'rsync', program: 'cmd_standby' };

/** The work that asks for it. `place`: the programs there, as the INI file of this host has them. */
export function dataWork<Name extends DataRequestName>(
  name: Name,
  args: DataValues<Name>,
  place: Partial<DataPlace> = {},
): RemoteWork {
  // The compiler cannot see that the arguments belong to the request of this name.
  const wanted = dataRequests[name] as unknown as ScriptRequest<DataPlace, Arguments>;
  return workOf(name, wanted, { ...usual, ...place }, args as never);
}

/** A session of psql: the statements come as lines of standard input. See psql.ts. */
export const psqlSession = { ...server, field: separator, record: separator } as const;
export type PsqlValues = ValuesOf<typeof psqlSession>;
