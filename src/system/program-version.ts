import { readFileSync } from 'node:fs';

/** The version of this package, from the package.json two folders above, in a checkout as in an installed package. */
export function programVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { readonly version: string }).version;
}
