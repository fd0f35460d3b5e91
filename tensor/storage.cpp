#include "tensor/storage.h"

#include <new>

#include "tensor/allocator.h"

namespace sfumato {

Ref<Storage> Storage::create(size_t bytes) {
  return Ref<Storage>::adopt(new (allocate(kHeader + bytes)) Storage(bytes));
}

void Storage::destroy() noexcept {
  const size_t bytes = bytes_;
  this->~Storage();
  deallocate(this, kHeader + bytes);
}

}  // namespace sfumato
