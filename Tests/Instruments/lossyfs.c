// A file system that loses, by seed, whatever was not synced when the power is cut.
//
//   lossyfs MOUNTPOINT        (libfuse 3; commands on standard input, an answer a line on output)
//
// Everything lives in this process' memory, twice: as programs see it and as the disk holds it.
// fsync and fdatasync make one file's content and size durable and nothing else: not its name, not
// another file. A directory's new, renamed and removed entries are durable when that directory is
// synced. Sizes (append, ftruncate, fallocate) are lost like content.
//
//   cut SEED      the power goes and comes back: each unsynced sector of 512 bytes is kept, dropped
//                 or torn, each unsynced size and directory entry kept or dropped; mounted anew
//   after N       from the N-th change or sync on nothing answers but with EIO, until `cut`
//   changes       how many there have been
//   dead          1 from then on
//   liesync 0|1   syncs that do nothing and say they did (what the checks must catch)
//   direct 0|1    whether O_DIRECT is taken (else EINVAL)
//   allocate 0|1  whether fallocate is known (else EOPNOTSUPP)
//   delay US      how long a sync takes; other calls go on meanwhile
//   room BYTES    no more than so much content; 0 is no limit
//   failcall N    the N-th change or sync from now on fails, as `failure` says, without effect
//   failure E     an error number (EIO at first); 0 is a write that takes half of what it was given
//   failed        how many calls have failed so
//   failsync N    the N-th sync from now on fails with EIO, its content lost and taken for clean
//   quit
#define _GNU_SOURCE
#define FUSE_USE_VERSION 34
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum { page_bytes = 4096, sector_bytes = 512 };

struct page {
  uint32_t references;
  uint8_t bytes[page_bytes];
};

struct image {  // one of a file's two contents
  struct page **pages;
  size_t count;
  off_t size;
};

struct entry {
  char *name;
  uint32_t hash;
  struct inode *inode;
};

struct entries {
  struct entry *list;
  size_t count, room;
};

struct inode {
  struct inode *next;  // all there are
  mode_t mode;
  uid_t uid;
  gid_t gid;
  struct timespec mtime;
  uint64_t lookups;
  uint64_t opens;
  int is_linked, is_marked;
  char *target;  // of a symbolic link
  struct image seen, kept;
  uint8_t *dirty;  // a byte a page, a bit a sector
  size_t dirty_room;
  size_t *dirty_pages;
  size_t dirty_count, dirty_list_room;
  struct entries names, kept_names;
};

struct change {  // of directories, not durable yet
  struct inode *from, *to;  // NULL where there is nothing to remove, or to add
  char *old_name, *new_name;
  struct inode *inode;
};

static struct inode *inodes, *root;
static struct change *changes;
static size_t change_count, change_room;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct fuse_session *session;
static pthread_t main_thread;
static const char *mountpoint;

static uint64_t random_state = 1;
static uint64_t done, dies_at, page_total, page_limit, failing_sync;
static uint64_t failing_call, failed_calls;
static int failure = EIO;
static int is_dead, sync_lies, takes_direct = 1, knows_allocate = 1, is_cutting, is_quitting;
static useconds_t sync_delay;

static uint64_t next_random(void) {
  uint64_t z = random_state += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

static void *grown(void *list, size_t *room, size_t wanted, size_t each) {
  if (wanted <= *room) return list;
  size_t larger = *room ? *room : 8;
  while (larger < wanted) larger *= 2;
  list = realloc(list, larger * each);
  if (!list) abort();
  memset((char *)list + *room * each, 0, (larger - *room) * each);
  *room = larger;
  return list;
}

// Pages

static void release_page(struct page *page) {
  if (page && --page->references == 0) {
    free(page);
    page_total--;
  }
}

static void resize_image(struct image *image, off_t size) {
  size_t count = (size + page_bytes - 1) / page_bytes;
  for (size_t i = count; i < image->count; i++) release_page(image->pages[i]);
  if (count != image->count) {
    image->pages = realloc(image->pages, (count ? count : 1) * sizeof *image->pages);
    for (size_t i = image->count; i < count; i++) image->pages[i] = NULL;
    image->count = count;
  }
  // What a shorter end leaves in its page must not come back with a longer one.
  size_t rest = size % page_bytes;
  if (size < image->size && rest && image->pages[count - 1]) {
    struct page *old = image->pages[count - 1], *copy = malloc(sizeof *copy);
    memcpy(copy->bytes, old->bytes, rest);
    memset(copy->bytes + rest, 0, page_bytes - rest);
    copy->references = 1;
    page_total++;
    release_page(old);
    image->pages[count - 1] = copy;
  }
  image->size = size;
}

static struct page *writable(struct image *image, size_t index) {
  struct page *page = image->pages[index];
  if (page && page->references == 1) return page;
  struct page *copy = malloc(sizeof *copy);
  if (!copy) abort();
  copy->references = 1;
  page_total++;
  if (page) memcpy(copy->bytes, page->bytes, page_bytes);
  else memset(copy->bytes, 0, page_bytes);
  release_page(page);
  image->pages[index] = copy;
  return copy;
}

static void mark_dirty(struct inode *inode, off_t from, off_t to) {
  if (from >= to) return;
  size_t last = (to - 1) / page_bytes;
  inode->dirty = grown(inode->dirty, &inode->dirty_room, last + 1, 1);
  for (size_t index = from / page_bytes; index <= last; index++) {
    if (!inode->dirty[index]) {
      inode->dirty_pages = grown(
          inode->dirty_pages, &inode->dirty_list_room, inode->dirty_count + 1, sizeof(size_t));
      inode->dirty_pages[inode->dirty_count++] = index;
    }
    off_t start = (off_t)index * page_bytes;
    int first = from > start ? (from - start) / sector_bytes : 0;
    int end = to - start >= page_bytes ? 8 : (to - start + sector_bytes - 1) / sector_bytes;
    for (int sector = first; sector < end; sector++) inode->dirty[index] |= 1 << sector;
  }
}

static void clear_dirty(struct inode *inode) {
  for (size_t i = 0; i < inode->dirty_count; i++) inode->dirty[inode->dirty_pages[i]] = 0;
  inode->dirty_count = 0;
}

static void set_size(struct inode *inode, off_t size) {
  if (size < inode->seen.size) mark_dirty(inode, size, inode->seen.size);
  resize_image(&inode->seen, size);
}

static void put_bytes(struct inode *inode, const uint8_t *bytes, size_t count, off_t offset) {
  if (offset + (off_t)count > inode->seen.size) set_size(inode, offset + count);
  mark_dirty(inode, offset, offset + count);
  while (count > 0) {
    size_t index = offset / page_bytes, at = offset % page_bytes;
    size_t piece = page_bytes - at < count ? page_bytes - at : count;
    struct page *page = writable(&inode->seen, index);
    if (bytes) {
      memcpy(page->bytes + at, bytes, piece);
      bytes += piece;
    } else {
      memset(page->bytes + at, 0, piece);
    }
    offset += piece;
    count -= piece;
  }
}

static void sync_content(struct inode *inode) {
  resize_image(&inode->kept, inode->seen.size);
  for (size_t i = 0; i < inode->dirty_count; i++) {
    size_t index = inode->dirty_pages[i];
    if (index >= inode->seen.count || inode->kept.pages[index] == inode->seen.pages[index]) continue;
    release_page(inode->kept.pages[index]);
    inode->kept.pages[index] = inode->seen.pages[index];
    if (inode->kept.pages[index]) inode->kept.pages[index]->references++;
  }
  clear_dirty(inode);
}

// Names

static uint32_t hash_of(const char *name) {
  uint32_t hash = 2166136261u;
  while (*name) hash = (hash ^ (uint8_t)*name++) * 16777619u;
  return hash;
}

static struct entry *find(struct entries *entries, const char *name) {
  uint32_t hash = hash_of(name);
  for (size_t i = 0; i < entries->count; i++)
    if (entries->list[i].hash == hash && strcmp(entries->list[i].name, name) == 0)
      return &entries->list[i];
  return NULL;
}

static void drop_name(struct entries *entries, const char *name) {
  struct entry *entry = find(entries, name);
  if (!entry) return;
  free(entry->name);
  size_t index = entry - entries->list;
  memmove(entry, entry + 1, (entries->count - index - 1) * sizeof *entry);
  entries->count--;
}

static void put_name(struct entries *entries, const char *name, struct inode *inode) {
  struct entry *entry = find(entries, name);
  if (entry) {
    entry->inode = inode;
    return;
  }
  entries->list = grown(entries->list, &entries->room, entries->count + 1, sizeof *entry);
  entries->list[entries->count++] = (struct entry){strdup(name), hash_of(name), inode};
}

static void note_change(struct change change) {
  changes = grown(changes, &change_room, change_count + 1, sizeof change);
  if (change.old_name) change.old_name = strdup(change.old_name);
  if (change.new_name) change.new_name = strdup(change.new_name);
  changes[change_count++] = change;
}

static void apply_change(const struct change *change) {
  if (change->from) drop_name(&change->from->kept_names, change->old_name);
  if (change->to) put_name(&change->to->kept_names, change->new_name, change->inode);
}

static void sync_names(struct inode *directory) {
  size_t left = 0;
  for (size_t i = 0; i < change_count; i++) {
    if (changes[i].from != directory && changes[i].to != directory) {
      changes[left++] = changes[i];
      continue;
    }
    apply_change(&changes[i]);
    free(changes[i].old_name);
    free(changes[i].new_name);
  }
  change_count = left;
}

static struct inode *new_inode(mode_t mode) {
  struct inode *inode = calloc(1, sizeof *inode);
  if (!inode) abort();
  inode->mode = mode;
  inode->next = inodes;
  inodes = inode;
  clock_gettime(CLOCK_REALTIME, &inode->mtime);
  return inode;
}

static void free_inode(struct inode *inode) {
  resize_image(&inode->seen, 0);
  resize_image(&inode->kept, 0);
  for (size_t i = 0; i < inode->names.count; i++) free(inode->names.list[i].name);
  for (size_t i = 0; i < inode->kept_names.count; i++) free(inode->kept_names.list[i].name);
  free(inode->names.list);
  free(inode->kept_names.list);
  free(inode->seen.pages);
  free(inode->kept.pages);
  free(inode->dirty);
  free(inode->dirty_pages);
  free(inode->target);
  free(inode);
}

static void mark(struct inode *inode) {
  if (inode->is_marked) return;
  inode->is_marked = 1;
  for (size_t i = 0; i < inode->names.count; i++) mark(inode->names.list[i].inode);
  for (size_t i = 0; i < inode->kept_names.count; i++) mark(inode->kept_names.list[i].inode);
}

// Frees what neither a program nor the disk can come to any more.
static void sweep(void) {
  for (struct inode *inode = inodes; inode; inode = inode->next) inode->is_marked = 0;
  mark(root);
  for (size_t i = 0; i < change_count; i++)
    if (changes[i].inode) mark(changes[i].inode);
  struct inode **place = &inodes;
  while (*place) {
    struct inode *inode = *place;
    if (inode->is_marked || inode->lookups > 0 || inode->opens > 0) {
      place = &inode->next;
    } else {
      *place = inode->next;
      free_inode(inode);
    }
  }
}

// The power cut

static void lose_content(struct inode *inode) {
  struct image *seen = &inode->seen, *kept = &inode->kept;
  off_t size = next_random() % 2 ? seen->size : kept->size;
  unsigned keeps = next_random() % 4;  // per cut and file: nothing, some, most, everything
  resize_image(kept, size > kept->size ? size : kept->size);
  for (size_t i = 0; i < inode->dirty_count; i++) {
    size_t index = inode->dirty_pages[i];
    if (index >= kept->count) continue;
    for (int sector = 0; sector < 8; sector++) {
      if (!(inode->dirty[index] & 1 << sector)) continue;
      uint64_t choice = next_random();
      if (choice % 4 >= keeps) continue;
      size_t count = sector_bytes, at = sector * sector_bytes;
      if (choice / 4 % 8 == 0) count = choice / 32 % sector_bytes;  // torn
      struct page *page = writable(kept, index);
      struct page *from = index < seen->count ? seen->pages[index] : NULL;
      if (from) memcpy(page->bytes + at, from->bytes + at, count);
      else memset(page->bytes + at, 0, count);
    }
  }
  resize_image(kept, size);
  // What is left is what there is now.
  resize_image(seen, 0);
  resize_image(seen, size);
  for (size_t i = 0; i < kept->count; i++) {
    seen->pages[i] = kept->pages[i];
    if (seen->pages[i]) seen->pages[i]->references++;
  }
  clear_dirty(inode);
}

static void lose_names(void) {
  unsigned way = next_random() % 4;  // nothing of it, a beginning, any part twice
  size_t end = way == 1 ? next_random() % (change_count + 1) : change_count;
  for (size_t i = 0; i < change_count; i++) {
    if (way > 0 && i < end && (way == 1 || next_random() % 2)) apply_change(&changes[i]);
    free(changes[i].old_name);
    free(changes[i].new_name);
  }
  change_count = 0;
}

static void cut_power(uint64_t seed) {
  random_state = seed;
  lose_names();
  for (struct inode *inode = inodes; inode; inode = inode->next) {
    inode->lookups = inode->opens = 0;
    if (S_ISREG(inode->mode)) lose_content(inode);
    if (!S_ISDIR(inode->mode)) continue;
    while (inode->names.count > 0) drop_name(&inode->names, inode->names.list[0].name);
    for (size_t i = 0; i < inode->kept_names.count; i++)
      put_name(&inode->names, inode->kept_names.list[i].name, inode->kept_names.list[i].inode);
  }
  sweep();
  is_dead = 0;
  dies_at = 0;
}

// Counts a change; nonzero when the power is gone by then.
static int counted(void) {
  if (is_dead) return 1;
  if (++done == dies_at) is_dead = 1;
  // Half of the last changes still happen, though nobody hears of it.
  return is_dead && next_random() % 2;
}

// Whether this change or sync is the one to fail.
static int is_failing(void) {
  if (!failing_call || --failing_call > 0) return 0;
  failed_calls++;
  return 1;
}

// Operations

static struct inode *at(fuse_ino_t number) {
  return number == FUSE_ROOT_ID ? root : (struct inode *)(uintptr_t)number;
}

static fuse_ino_t number_of(struct inode *inode) {
  return inode == root ? FUSE_ROOT_ID : (fuse_ino_t)(uintptr_t)inode;
}

static struct stat stat_of(struct inode *inode) {
  return (struct stat){
      .st_ino = number_of(inode), .st_mode = inode->mode, .st_nlink = S_ISDIR(inode->mode) ? 2 : 1,
      .st_uid = inode->uid, .st_gid = inode->gid, .st_size = inode->seen.size,
      .st_blocks = inode->seen.count * 8, .st_blksize = page_bytes, .st_mtim = inode->mtime,
      .st_ctim = inode->mtime, .st_atim = inode->mtime};
}

static struct fuse_entry_param entry_of(struct inode *inode) {
  inode->lookups++;
  return (struct fuse_entry_param){
      .ino = number_of(inode), .attr = stat_of(inode), .attr_timeout = 1e6, .entry_timeout = 1e6};
}

#define LOCKED pthread_mutex_lock(&lock)
#define DONE(reply) do { (void)(reply); pthread_mutex_unlock(&lock); return; } while (0)
#define FAIL(request, code) DONE(fuse_reply_err(request, code))
#define CHANGE(request) do { \
    LOCKED; \
    if (counted()) FAIL(request, EIO); \
    if (failure && is_failing()) FAIL(request, failure); \
  } while (0)
// A change that happened as the power went is not answered for.
#define LIVES(request) do { if (is_dead) FAIL(request, EIO); } while (0)

static void do_lookup(fuse_req_t request, fuse_ino_t parent, const char *name) {
  LOCKED;
  struct entry *entry = find(&at(parent)->names, name);
  if (is_dead) FAIL(request, EIO);
  if (!entry) FAIL(request, ENOENT);
  struct fuse_entry_param param = entry_of(entry->inode);
  DONE(fuse_reply_entry(request, &param));
}

static void do_forget(fuse_req_t request, fuse_ino_t number, uint64_t count) {
  LOCKED;
  struct inode *inode = at(number);
  inode->lookups -= count < inode->lookups ? count : inode->lookups;
  DONE((fuse_reply_none(request), 0));
}

static void do_getattr(fuse_req_t request, fuse_ino_t number, struct fuse_file_info *info) {
  (void)info;
  LOCKED;
  struct stat attributes = stat_of(at(number));
  DONE(fuse_reply_attr(request, &attributes, 1e6));
}

static int has_room(uint64_t bytes) {
  return !page_limit || page_total + bytes / page_bytes < page_limit;
}

static void do_setattr(fuse_req_t request, fuse_ino_t number, struct stat *wanted, int which,
                       struct fuse_file_info *info) {
  (void)info;
  CHANGE(request);
  struct inode *inode = at(number);
  if (which & FUSE_SET_ATTR_MODE) inode->mode = (inode->mode & S_IFMT) | (wanted->st_mode & 07777);
  if (which & FUSE_SET_ATTR_UID) inode->uid = wanted->st_uid;
  if (which & FUSE_SET_ATTR_GID) inode->gid = wanted->st_gid;
  if (which & FUSE_SET_ATTR_SIZE) set_size(inode, wanted->st_size);
  if (which & FUSE_SET_ATTR_MTIME_NOW) clock_gettime(CLOCK_REALTIME, &inode->mtime);
  else if (which & FUSE_SET_ATTR_MTIME) inode->mtime = wanted->st_mtim;
  LIVES(request);
  struct stat attributes = stat_of(inode);
  DONE(fuse_reply_attr(request, &attributes, 1e6));
}

static struct inode *make(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode) {
  struct inode *directory = at(parent), *inode = new_inode(mode);
  inode->uid = fuse_req_ctx(request)->uid;
  inode->gid = fuse_req_ctx(request)->gid;
  put_name(&directory->names, name, inode);
  note_change((struct change){.to = directory, .new_name = (char *)name, .inode = inode});
  return inode;
}

static void do_mknod(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode,
                     dev_t device) {
  (void)device;
  CHANGE(request);
  if (find(&at(parent)->names, name)) FAIL(request, EEXIST);
  struct fuse_entry_param param = entry_of(make(request, parent, name, mode));
  LIVES(request);
  DONE(fuse_reply_entry(request, &param));
}

static void do_mkdir(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode) {
  do_mknod(request, parent, name, S_IFDIR | (mode & 07777), 0);
}

static void do_symlink(fuse_req_t request, const char *target, fuse_ino_t parent,
                       const char *name) {
  CHANGE(request);
  if (find(&at(parent)->names, name)) FAIL(request, EEXIST);
  struct inode *inode = make(request, parent, name, S_IFLNK | 0777);
  inode->target = strdup(target);
  struct fuse_entry_param param = entry_of(inode);
  LIVES(request);
  DONE(fuse_reply_entry(request, &param));
}

static void do_readlink(fuse_req_t request, fuse_ino_t number) {
  LOCKED;
  DONE(fuse_reply_readlink(request, at(number)->target));
}

static void remove_name(fuse_req_t request, fuse_ino_t parent, const char *name, int is_directory) {
  CHANGE(request);
  struct inode *directory = at(parent);
  struct entry *entry = find(&directory->names, name);
  if (!entry) FAIL(request, ENOENT);
  if (is_directory && entry->inode->names.count > 0) FAIL(request, ENOTEMPTY);
  note_change((struct change){.from = directory, .old_name = (char *)name});
  drop_name(&directory->names, name);
  if (done % 64 == 0) sweep();
  LIVES(request);
  FAIL(request, 0);
}

static void do_unlink(fuse_req_t request, fuse_ino_t parent, const char *name) {
  remove_name(request, parent, name, 0);
}

static void do_rmdir(fuse_req_t request, fuse_ino_t parent, const char *name) {
  remove_name(request, parent, name, 1);
}

static void do_rename(fuse_req_t request, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
                      const char *new_name, unsigned flags) {
  CHANGE(request);
  struct inode *from = at(parent), *to = at(new_parent);
  struct entry *entry = find(&from->names, name);
  if (!entry) FAIL(request, ENOENT);
  if (flags & RENAME_EXCHANGE) FAIL(request, EINVAL);
  if (flags & RENAME_NOREPLACE && find(&to->names, new_name)) FAIL(request, EEXIST);
  struct inode *inode = entry->inode;
  note_change((struct change){from, to, (char *)name, (char *)new_name, inode});
  drop_name(&from->names, name);
  put_name(&to->names, new_name, inode);
  if (done % 64 == 0) sweep();
  LIVES(request);
  FAIL(request, 0);
}

static void do_open(fuse_req_t request, fuse_ino_t number, struct fuse_file_info *info) {
  LOCKED;
  if (is_dead) FAIL(request, EIO);
  if (info->flags & O_DIRECT && !takes_direct) FAIL(request, EINVAL);
  if (info->flags & O_TRUNC) {
    if (counted()) FAIL(request, EIO);
    set_size(at(number), 0);
  }
  at(number)->opens++;
  info->keep_cache = 1;
  DONE(fuse_reply_open(request, info));
}

static void do_create(fuse_req_t request, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *info) {
  CHANGE(request);
  if (info->flags & O_DIRECT && !takes_direct) FAIL(request, EINVAL);
  struct entry *entry = find(&at(parent)->names, name);
  struct inode *inode =
      entry ? entry->inode : make(request, parent, name, S_IFREG | (mode & 07777));
  LIVES(request);
  inode->opens++;
  info->keep_cache = 1;
  struct fuse_entry_param param = entry_of(inode);
  DONE(fuse_reply_create(request, &param, info));
}

static void do_release(fuse_req_t request, fuse_ino_t number, struct fuse_file_info *info) {
  (void)info;
  LOCKED;
  if (at(number)->opens > 0) at(number)->opens--;
  FAIL(request, 0);
}

static void do_read(fuse_req_t request, fuse_ino_t number, size_t count, off_t offset,
                    struct fuse_file_info *info) {
  (void)info;
  static const uint8_t zeros[page_bytes];
  LOCKED;
  struct image *image = &at(number)->seen;
  if (is_dead) FAIL(request, EIO);
  if (offset >= image->size) DONE(fuse_reply_buf(request, NULL, 0));
  if (offset + (off_t)count > image->size) count = image->size - offset;
  struct iovec pieces[1024];
  int used = 0;
  while (count > 0 && used < 1024) {
    size_t place = offset % page_bytes;
    size_t piece = page_bytes - place < count ? page_bytes - place : count;
    struct page *page = image->pages[offset / page_bytes];
    pieces[used++] = (struct iovec){(page ? page->bytes : (uint8_t *)zeros) + place, piece};
    offset += piece;
    count -= piece;
  }
  DONE(fuse_reply_iov(request, pieces, used));
}

static void do_write(fuse_req_t request, fuse_ino_t number, const char *bytes, size_t count,
                     off_t offset, struct fuse_file_info *info) {
  (void)info;
  CHANGE(request);
  if (!has_room(count)) FAIL(request, ENOSPC);
  if (!failure && count > 1 && is_failing()) count /= 2;
  put_bytes(at(number), (const uint8_t *)bytes, count, offset);
  clock_gettime(CLOCK_REALTIME, &at(number)->mtime);
  LIVES(request);
  DONE(fuse_reply_write(request, count));
}

static void do_fallocate(fuse_req_t request, fuse_ino_t number, int mode, off_t offset,
                         off_t length, struct fuse_file_info *info) {
  (void)info;
  CHANGE(request);
  struct inode *inode = at(number);
  if (!knows_allocate) FAIL(request, EOPNOTSUPP);
  if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
    FAIL(request, EOPNOTSUPP);
  if (!has_room(length)) FAIL(request, ENOSPC);
  if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) {
    off_t end = offset + length < inode->seen.size ? offset + length : inode->seen.size;
    if (offset < end) put_bytes(inode, NULL, end - offset, offset);
  }
  if (!(mode & FALLOC_FL_KEEP_SIZE) && offset + length > inode->seen.size)
    set_size(inode, offset + length);
  LIVES(request);
  FAIL(request, 0);
}

static void sync_now(fuse_req_t request, struct inode *inode) {
  LOCKED;
  if (counted()) FAIL(request, EIO);
  if (failure && is_failing()) {
    if (S_ISREG(inode->mode)) clear_dirty(inode);
    FAIL(request, failure);
  }
  if (failing_sync && --failing_sync == 0) {
    if (S_ISREG(inode->mode)) clear_dirty(inode);
    FAIL(request, EIO);
  }
  if (!sync_lies) {
    if (S_ISDIR(inode->mode)) sync_names(inode);
    else sync_content(inode);
  }
  LIVES(request);
  FAIL(request, 0);
}

struct late_sync {
  fuse_req_t request;
  struct inode *inode;
  useconds_t delay;
};

static void *sync_late(void *argument) {
  struct late_sync late = *(struct late_sync *)argument;
  free(argument);
  usleep(late.delay);
  sync_now(late.request, late.inode);
  return NULL;
}

static void do_sync(fuse_req_t request, fuse_ino_t number, int data_only,
                    struct fuse_file_info *info) {
  (void)data_only;
  (void)info;
  struct late_sync late = {request, at(number), sync_delay};
  if (late.delay == 0) return sync_now(request, late.inode);
  struct late_sync *copy = malloc(sizeof late);
  *copy = late;
  pthread_t thread;
  if (pthread_create(&thread, NULL, sync_late, copy)) abort();
  pthread_detach(thread);
}

static void do_opendir(fuse_req_t request, fuse_ino_t number, struct fuse_file_info *info) {
  (void)number;
  fuse_reply_open(request, info);
}

static void do_readdir(fuse_req_t request, fuse_ino_t number, size_t size, off_t offset,
                       struct fuse_file_info *info) {
  (void)info;
  LOCKED;
  struct entries *names = &at(number)->names;
  char *buffer = malloc(size);
  size_t used = 0;
  for (size_t i = offset; i < names->count + 2; i++) {
    struct stat attributes = i < 2 ? stat_of(at(number)) : stat_of(names->list[i - 2].inode);
    const char *name = i == 0 ? "." : i == 1 ? ".." : names->list[i - 2].name;
    size_t length =
        fuse_add_direntry(request, buffer + used, size - used, name, &attributes, i + 1);
    if (length > size - used) break;
    used += length;
  }
  int status = fuse_reply_buf(request, buffer, used);
  free(buffer);
  DONE(status);
}

static void do_statfs(fuse_req_t request, fuse_ino_t number) {
  (void)number;
  LOCKED;
  uint64_t total = page_limit ? page_limit : 1 << 22;
  uint64_t left = page_total < total ? total - page_total : 0;
  struct statvfs status = {
      .f_bsize = page_bytes, .f_frsize = page_bytes, .f_blocks = total, .f_bfree = left,
      .f_bavail = left, .f_files = 1 << 20, .f_ffree = 1 << 20, .f_namemax = 255};
  DONE(fuse_reply_statfs(request, &status));
}

static void do_init(void *data, struct fuse_conn_info *connection) {
  (void)data;
  connection->max_write = 1 << 20;
  connection->want &= ~(FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_SPLICE_READ);
  connection->want |= FUSE_CAP_ATOMIC_O_TRUNC & connection->capable;
}

static const struct fuse_lowlevel_ops operations = {
    .init = do_init, .lookup = do_lookup, .forget = do_forget, .getattr = do_getattr,
    .setattr = do_setattr, .mknod = do_mknod, .mkdir = do_mkdir, .symlink = do_symlink,
    .readlink = do_readlink, .unlink = do_unlink, .rmdir = do_rmdir, .rename = do_rename,
    .open = do_open, .create = do_create, .release = do_release, .read = do_read,
    .write = do_write, .fallocate = do_fallocate, .fsync = do_sync, .fsyncdir = do_sync,
    .opendir = do_opendir, .readdir = do_readdir, .statfs = do_statfs};

// Commands

static uint64_t cut_seed;
static int is_mounted;

static void on_signal(int number) { (void)number; }

static void end_session(void) {
  LOCKED;
  is_mounted = 0;
  struct fuse_session *current = session;
  pthread_mutex_unlock(&lock);
  fuse_session_exit(current);
  LOCKED;
  while (!is_mounted && !is_quitting) {
    pthread_mutex_unlock(&lock);
    // The loop may have been about to sleep.
    pthread_kill(main_thread, SIGUSR1);
    usleep(2000);
    LOCKED;
  }
  pthread_mutex_unlock(&lock);
}

static void command(const char *word, uint64_t value) {
  uint64_t answer = 0;
  if (strcmp(word, "cut") == 0) {
    LOCKED;
    cut_seed = value;
    is_cutting = 1;
    is_dead = 1;
    pthread_mutex_unlock(&lock);
    end_session();
  }
  LOCKED;
  if (strcmp(word, "after") == 0) dies_at = done + value;
  if (strcmp(word, "changes") == 0) answer = done;
  if (strcmp(word, "dead") == 0) answer = is_dead;
  if (strcmp(word, "liesync") == 0) sync_lies = value;
  if (strcmp(word, "direct") == 0) takes_direct = value;
  if (strcmp(word, "allocate") == 0) knows_allocate = value;
  if (strcmp(word, "delay") == 0) sync_delay = value;
  if (strcmp(word, "room") == 0) page_limit = value / page_bytes;
  if (strcmp(word, "failcall") == 0) failing_call = value;
  if (strcmp(word, "failure") == 0) failure = value;
  if (strcmp(word, "failed") == 0) answer = failed_calls;
  if (strcmp(word, "failsync") == 0) failing_sync = value;
  pthread_mutex_unlock(&lock);
  printf("ok %llu\n", (unsigned long long)answer);
  fflush(stdout);
}

static void *read_commands(void *unused) {
  (void)unused;
  char line[128], word[64];
  while (fgets(line, sizeof line, stdin)) {
    unsigned long long value = 0;
    if (sscanf(line, "%63s %llu", word, &value) < 1) continue;
    if (strcmp(word, "quit") == 0) break;
    command(word, value);
  }
  LOCKED;
  is_quitting = 1;
  struct fuse_session *current = session;
  pthread_mutex_unlock(&lock);
  fuse_session_exit(current);
  // Until the main thread ends the process.
  while (is_quitting) {
    pthread_kill(main_thread, SIGUSR1);
    usleep(2000);
  }
  return NULL;
}

static void serve(void) {
  char *words[] = {"lossyfs", "-o", "fsname=lossyfs,subtype=lossyfs", NULL};
  struct fuse_args arguments = FUSE_ARGS_INIT(3, words);
  session = fuse_session_new(&arguments, &operations, sizeof operations, NULL);
  if (!session || fuse_session_mount(session, mountpoint)) exit(1);
  LOCKED;
  is_mounted = 1;
  pthread_mutex_unlock(&lock);
  fuse_session_loop(session);
  fuse_session_unmount(session);
  LOCKED;
  if (is_cutting) cut_power(cut_seed);
  is_cutting = 0;
  struct fuse_session *old = session;
  pthread_mutex_unlock(&lock);
  if (!is_quitting) fuse_session_destroy(old);
}

int main(int count, char **arguments) {
  if (count != 2) {
    fprintf(stderr, "usage: lossyfs MOUNTPOINT\n");
    return 2;
  }
  mountpoint = arguments[1];
  main_thread = pthread_self();
  struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGUSR1, &action, NULL);
  // Masks are inherited, and test runners block what their threads do not want.
  sigset_t interrupts;
  sigemptyset(&interrupts);
  sigaddset(&interrupts, SIGUSR1);
  pthread_sigmask(SIG_UNBLOCK, &interrupts, NULL);
  signal(SIGPIPE, SIG_IGN);
  root = new_inode(S_IFDIR | 0755);
  pthread_t thread;
  int is_started = 0;
  while (!is_quitting) {
    if (!is_started++) pthread_create(&thread, NULL, read_commands, NULL);
    serve();
  }
  return 0;
}
