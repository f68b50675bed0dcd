import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A tarball URL in bun.lock ties the checkout to the registry of whoever wrote it. */
const tarball = /"https?:\/\/[^"]*\.tgz"/g;

export const withoutHosts = (lock: string): string => lock.replace(tarball, '""');

/** Its newest release has no binary for these platforms in every registry; there the lint is skipped, nothing else. */
const incomplete = new Set(['@biomejs/biome']);

type Entry = readonly (string | { readonly optionalDependencies?: Readonly<Record<string, string>> } | undefined)[];

type Versions = Readonly<Record<string, string>>;
type Manifest = Readonly<
  Partial<Record<'dependencies' | 'devDependencies' | 'optionalDependencies' | 'peerDependencies', Versions>>
>;
const exact = /^(\d+\.\d+\.\d+(-[\w.]+)?|workspace:\*)$/;

/** What is wrong with the lock files: a host in them, or a platform that an install elsewhere would miss. */
export function wrongsOfLocks(root: string): readonly string[] {
  const read = (path: string) => readFileSync(join(root, path), 'utf8');
  const wrongs: string[] = [];

  const bun = read('bun.lock');
  const hosts = bun.match(/https?:\/\/[^/"\s]+/g) ?? [];
  if (hosts.length > 0)
    wrongs.push(`bun.lock names ${new Set(hosts).size} host(s): ${hosts[0]}; npm run fix strips them`);
  const npm = read('.ci/bun/package-lock.json');
  if (/"resolved"|https?:\/\//.test(npm)) wrongs.push('.ci/bun/package-lock.json names a host');
  if (!/"integrity": "sha512-/.test(npm)) wrongs.push('.ci/bun/package-lock.json holds Bun by no integrity');

  const packages: Readonly<Record<string, Entry>> = JSON.parse(bun.replace(/,(\s*[}\]])/g, '$1')).packages;
  for (const [name, entry] of Object.entries(packages)) {
    const about = entry.find((part) => typeof part === 'object');
    for (const optional of typeof about === 'object' ? Object.keys(about.optionalDependencies ?? {}) : []) {
      if (optional in packages || `${name}/${optional}` in packages || incomplete.has(name)) continue;
      wrongs.push(`bun.lock lacks ${optional}, which ${name} needs on another platform`);
    }
  }

  const manifests = ['package.json', '.ci/bun/package.json', 'native/package.json', 'benchmarks/package.json'];
  for (const parent of ['packages', 'apps']) {
    manifests.push(...readdirSync(join(root, parent)).map((name) => `${parent}/${name}/package.json`));
  }
  for (const path of manifests.filter((path) => existsSync(join(root, path)))) {
    const manifest: Manifest = JSON.parse(read(path));
    const { dependencies, devDependencies, optionalDependencies, peerDependencies } = manifest;
    const wanted = { ...dependencies, ...devDependencies, ...optionalDependencies, ...peerDependencies };
    for (const [name, version] of Object.entries(wanted)) {
      if (!exact.test(version)) wrongs.push(`${path} pins ${name} by ${version}, not exactly`);
    }
  }
  return wrongs;
}
