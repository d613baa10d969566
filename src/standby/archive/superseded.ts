export const supersededPrefix = '.superseded-';

/**
 * Whether a name in archivedir is a directory of WAL that -B moved aside because a newer base backup made it
 * unneeded.
 */
export function isSuperseded(name: string): boolean {
  return name.startsWith(supersededPrefix);
}
