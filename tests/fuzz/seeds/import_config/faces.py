from easydict import EasyDict as edict
import os.path as osp

config = edict()
config.margin_list = (1.0, 0.0, 0.4)
config["network"] = "r" + str(50)
config.rec = osp.join("/data", r"faces") if not config.network == 'mbf' else None
config.optim = edict({'kind': "sgd", "lr": [1e-1, 0x10, -2 ** 3]})
config.batch_size = 512 // 2 % 1000
config.num_epoch = 20; config.warmup_epoch = config.num_epoch // 10
if config.batch_size in (128, 256) and True:
    config.odd = 'a: {b}\n# c'
else:
    config.odd = f"{config}"
config.val_targets = ["lfw", """two
lines"""]
config.update(dict(seed=7))
config.lr *= 2
