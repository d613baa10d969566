import { join, relative } from 'node:path';
import { isWithin } from '../../config/path-values.ts';
import type { Tablespace } from '../../postgres/backup-sql.ts';
import type { Capabilities } from '../../postgres/capabilities.ts';
import type { ControlFile } from '../../postgres/control-file.ts';

/** The place of a primary's tablespace on this host. */
export interface TablespaceTarget extends Tablespace {
  readonly target: string;
  /** Whether it is inside the primary's data directory, with which it is copied. */
  readonly isInsidePgdata: boolean;
}

/** The path that [tablespaces] in the INI file gives, otherwise the same path; a path inside pgdata stays inside. */
export function tablespaceTargets(
  tablespaces: readonly Tablespace[],
  primaryPgdata: string,
  pgdata: string,
  mapping: ReadonlyMap<string, string>,
): readonly TablespaceTarget[] {
  return tablespaces.map((tablespace) => {
    const isInside = isWithin(tablespace.location, primaryPgdata) && !mapping.has(tablespace.location);
    const inside = join(pgdata, relative(primaryPgdata, tablespace.location));
    const target = isInside ? inside : (mapping.get(tablespace.location) ?? tablespace.location);
    return { ...tablespace, target, isInsidePgdata: isInside };
  });
}

/** Those with a directory of their own; the files of the others are in pgdata. */
export function outsidePgdata(targets: readonly TablespaceTarget[]): readonly TablespaceTarget[] {
  return targets.filter(({ isInsidePgdata }) => !isInsidePgdata);
}

/** The places of a copy on this host. */
export interface CopyPlace {
  readonly pgdata: string;
  readonly targets: readonly TablespaceTarget[];
}

/** All directories of this host that a copy fills. */
export function filledDirectories({ pgdata, targets }: CopyPlace): readonly string[] {
  return [pgdata, ...outsidePgdata(targets).map(({ target }) => target)];
}

/** From 9.0 a server keeps to one directory of its own in a tablespace's directory: only that is ours to change. */
export function tablespaceFolder(capabilities: Capabilities, control: ControlFile): string | undefined {
  if (!capabilities.hasTablespaceVersionFolder) return undefined;
  return `PG_${capabilities.version.major}_${control.catalogVersion}`;
}

/**
 * Whether a name in a tablespace's directory belongs to a server of this version: the server's folder, or up to 8.4 all
 * of its files. Without pg_control, only the major version is compared.
 */
export function isServersName(
  capabilities: Capabilities,
  control: ControlFile | undefined,
  name: string,
): boolean {
  if (!capabilities.hasTablespaceVersionFolder) return /^(PG_VERSION$|\d)/.test(name);
  if (control !== undefined) return name === tablespaceFolder(capabilities, control);
  const prefix = `PG_${capabilities.version.major}_`;
  return name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length));
}

/**
 * A path as the server writes it into `tablespace_map`: a backslash before each line break, so that it does not end the
 * line, and from 14 on also before each backslash.
 */
function mapPath(path: string, { tablespaceMapEscapesBackslash: escapes }: MapSyntax): string {
  return path.replaceAll(escapes ? /[\\\n\r]/g : /[\n\r]/g, '\\$&');
}

type MapSyntax = Pick<Capabilities, 'tablespaceMapEscapesBackslash'>;

/** Only these two end a line for the server. For a regular expression, U+2028 and U+2029 would as well. */
const lineOfMap = /(?<=^|\n)(\d+) ((?:\\[^]|[^\\\n\r])*)/g;
/** A backslash before any other character is part of the path. */
const lineOfOlderMap = /(?<=^|\n)(\d+) ((?:\\[\n\r]|[^\n\r])*)/g;

/**
 * The server's `tablespace_map` with our paths: lines of a link's name, a blank and the directory. A tablespace that
 * we do not know keeps its line: no tablespace of the primary has that number now, otherwise -B would have refused
 * it.
 */
export function rewriteTablespaceMap(
  map: string,
  targets: readonly TablespaceTarget[],
  capabilities: MapSyntax,
): string {
  const byOid = new Map(targets.map(({ oid, target }) => [oid, mapPath(target, capabilities)]));
  const line = capabilities.tablespaceMapEscapesBackslash ? lineOfMap : lineOfOlderMap;
  return map.replaceAll(line, (_line, oid: string, path: string) => `${oid} ${byOid.get(oid) ?? path}`);
}
