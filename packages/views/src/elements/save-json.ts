/** Offers a value as a file to keep. Nothing leaves the page. */
export function saveJson(value: unknown, name: string): void {
  const url = URL.createObjectURL(new Blob([JSON.stringify(value, null, 2)], { type: 'application/json' }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name.replace(/[^\p{L}\p{N}. _-]+/gu, '-');
  link.click();
  URL.revokeObjectURL(url);
}
